// Blocks of sequences and their tiles: what the sweeps of every net have in common.
//
// A tile is a few sequences of one replica. It runs through all steps before the next tile begins, so its state stays
// in the cache. Threads that call `run_tiles` on one block take its tiles one after another. A tile writes its own
// partial sums, and the thread that completes a replica adds them in the order of its tiles: the bits of a result
// depend neither on the number of threads nor on the other replicas.
//
// Letters: r replicas, b sequences, T steps, n hidden units, d inputs, o outputs, S outputs of a sequence,
// c = n + d + 1. A row of a tile is the operand of a step, [h_{t-1}, x_t, 1], padded to cache lines.

#pragma once

#include "products.h"

constexpr int64_t CHUNK_ROWS = 96;  // rows whose outer products are summed at once, while they are in the cache
constexpr int64_t SEGMENT = 32;

extern "C" struct Block {  // rnnbench/native/calls.py has the same fields in the same order
    int64_t replicas, sequences, steps, hidden, inputs, outputs;
    int64_t num_outputs;   // S
    int64_t tile;          // sequences of a tile; the last one of a replica may have fewer
    int64_t nonlinearity;  // TANH ...
    int64_t traced;        // FORWARD and STATE_GRADIENTS run the tiles of so many first sequences
    int64_t theta_stride, direction_stride;
    int64_t input_strides[3];   // step, replica, sequence
    int64_t end_strides[3];     // output, replica, sequence
    int64_t length_strides[2];  // replica, sequence
    const void *theta, *direction;  // (r, P)
    const void *input;              // (T, r, b, d)
    const int64_t *ends;            // (S, r, b), the steps of the outputs; null: S = T, an output at every step
    const int64_t *lengths;         // (r, b); not read if `ends` is null
    // Of all tiles; null: each thread has memory for its tile alone, and nothing is kept after the tile.
    void *rows;             // (r, tiles, T + 1, sequences of the tile, padded c)
    void *saved;            // (r, tiles, T + 1, sequences of the tile, NUM_SAVED, padded n); null as `rows` is
    void *tangents;         // (r, tiles, T + 1, sequences of the tile, padded n)
    void *values;           // (S, r, b, o), outputs or their gradients
    const void *structural; // (r,), weight of structural damping; null: none
    void *partials;         // (r, tiles, partial_size), sums of a tile
    void *gradient;         // (r, P)
    void *state_gradients;  // (T, r, traced, whole state), zero; null but for STATE_GRADIENTS
    int64_t *missing;       // (r,), tiles of the replica that are not done
    int64_t next;           // next tile
    // For the sweeps with a loss:
    int64_t loss;           // SQUARED_LOSS ...
    int64_t divisor;        // of the derivatives of a loss
    const void *targets;    // (S, r, b, o), or int64 (S, r, b) for SOFTMAX_LOSS
    const void *predictions; // (S, r, b, o), outputs of the forward sweep before products; dL/dz for HESSIAN_BACKWARD
    double *tile_losses;    // (r, tiles), sums of a tile
    double *losses;         // (r,)
};

namespace {

// GRADIENT is FORWARD, loss and BACKWARD, tile by tile; PRODUCT is TANGENTS, Hessian of the loss and BACKWARD. Only the
// simple recurrent net has HESSIAN_BACKWARD.
enum Sweep { FORWARD, BACKWARD, TANGENTS, STATE_GRADIENTS, GRADIENT, PRODUCT, HESSIAN_BACKWARD };

// Hands out pieces of one piece of memory; without memory it measures how much is needed.
struct Arena {
    char *memory;
    int64_t used;

    template <class Item> Item *take(int64_t count) {
        Item *piece = memory ? reinterpret_cast<Item *>(memory + used) : nullptr;
        used += (count * int64_t(sizeof(Item)) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
        return piece;
    }
};

template <class Real> struct Sizes {
    int64_t n, d, o, c, row, state, out, steps_at_once;
    explicit Sizes(const Block &block)
        : n(block.hidden), d(block.inputs), o(block.outputs), c(n + d + 1), row(padded<Real>(c)),
          state(padded<Real>(n)), out(padded<Real>(o)),
          steps_at_once(CHUNK_ROWS > block.tile ? CHUNK_ROWS / block.tile : 1) {}
};

// Memory of a thread that the sweeps of every net need.
template <class Real> struct CommonScratch {
    Arena arena;
    Real *readout, *direction_readout, *injection, *output, *rows, *tangents;
    const Real **left, **right, **output_left, **output_right;
    Real **places, **targets;
    int64_t *heads, *following;

    CommonScratch(const Block &block, void *memory) : arena{static_cast<char *>(memory), 0} {
        const Sizes<Real> sizes(block);
        const int64_t m = block.tile, chunk = sizes.steps_at_once * m;
        readout = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.o));
        direction_readout = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.o));
        injection = arena.take<Real>(Matrix<Real>::size(sizes.o, sizes.n));
        output = arena.take<Real>(m * sizes.out);
        const int64_t steps = (block.steps + 1) * m;
        rows = arena.take<Real>(block.rows ? 0 : steps * sizes.row);
        tangents = arena.take<Real>(block.tangents || !block.structural ? 0 : steps * sizes.state);
        left = arena.take<const Real *>(chunk);
        right = arena.take<const Real *>(chunk);
        output_left = arena.take<const Real *>(chunk);
        output_right = arena.take<const Real *>(chunk);
        places = arena.take<Real *>(m);
        targets = arena.take<Real *>(m);
        heads = arena.take<int64_t>(block.steps);
        following = arena.take<int64_t>(block.num_outputs * m);
    }
};

template <class Real> struct CommonTile {
    const Block &block;
    const Sizes<Real> sizes;
    CommonScratch<Real> &scratch;
    const int64_t replica, first, m, number;  // first sequence, number of sequences, number within the replica
    const Real *theta;
    Real *rows, *tangents;

    CommonTile(const Block &block, CommonScratch<Real> &scratch, int64_t replica, int64_t number)
        : block(block), sizes(block), scratch(scratch), replica(replica), first(number * block.tile),
          m(block.sequences - first < block.tile ? block.sequences - first : block.tile), number(number) {
        theta = static_cast<const Real *>(block.theta) + replica * block.theta_stride;
        rows = own_part(block.rows, sizes.row, scratch.rows);
        tangents = block.tangents || block.structural ? own_part(block.tangents, sizes.state, scratch.tangents) : nullptr;
    }
    // This tile's part of a block's memory with `width` numbers for each step, or else the thread's own memory.
    Real *own_part(void *all, int64_t width, Real *own) const {
        return all ? static_cast<Real *>(all) + steps_before() * width : own;
    }

    // Steps of all sequences in the tiles before, with the initial states.
    int64_t steps_before() const { return (replica * block.sequences + first) * (block.steps + 1); }
    Real *row(int64_t t, int64_t i) const { return rows + (t * m + i) * sizes.row; }
    // Output s of sequence i, among those of the block.
    int64_t place(int64_t s, int64_t i) const {
        return (s * block.replicas + replica) * block.sequences + first + i;
    }
    Real *value(int64_t s, int64_t i) const { return static_cast<Real *>(block.values) + place(s, i) * sizes.o; }
    bool has_ended(int64_t t, int64_t i) const {
        if (!block.ends) return false;
        const int64_t *lengths = block.lengths + replica * block.length_strides[0];
        return t >= lengths[(first + i) * block.length_strides[1]];
    }

    // Lists the outputs of each step, those of lower s first. Returns the last step that has one, or -1.
    int64_t list_outputs() const {
        if (!block.ends) return block.steps - 1;
        int64_t last = -1;
        for (int64_t t = 0; t < block.steps; t++) scratch.heads[t] = -1;
        for (int64_t entry = block.num_outputs * m - 1; entry >= 0; entry--) {
            const int64_t *place = block.ends + (entry / m) * block.end_strides[0] + replica * block.end_strides[1];
            const int64_t t = place[(first + entry % m) * block.end_strides[2]];
            if (t < 0 || t >= block.steps) continue;
            scratch.following[entry] = scratch.heads[t];
            scratch.heads[t] = entry;
            last = t > last ? t : last;
        }
        return last;
    }

    // Calls collect(s, i, k) for each output of step t, and after some of them, all of different sequences, flush(k).
    template <class Collect, class Flush> void for_outputs(int64_t t, Collect collect, Flush flush) const {
        int64_t count = 0, before = -1;
        if (!block.ends) {
            for (; count < m; count++) collect(t, count, count);
        } else {
            for (int64_t entry = scratch.heads[t]; entry >= 0; entry = scratch.following[entry]) {
                const int64_t i = entry % m;
                if (i <= before) {
                    flush(count);
                    count = 0;
                }
                collect(entry / m, i, count++);
                before = i;
            }
        }
        if (count) flush(count);
    }

    void write_inputs(int64_t t) const {  // of step t + 1, beside h_t; zeros after the last step
        for (int64_t i = 0; i < m; i++) {
            Real *place = row(t, i) + sizes.n;
            if (t < block.steps) {
                const Real *input = static_cast<const Real *>(block.input) + t * block.input_strides[0] +
                                    replica * block.input_strides[1] + (first + i) * block.input_strides[2];
                for (int64_t j = 0; j < sizes.d; j++) place[j] = input[j];
            } else {
                for (int64_t j = 0; j < sizes.d; j++) place[j] = 0;
            }
            place[sizes.d] = 1;
        }
    }

    // Writes the outputs of a step: bias + W_out h, or with the change of W_out bias + W_out dh + dW_out h.
    // hidden(i) is h or dh of sequence i.
    template <class Hidden>
    void read_out(int64_t t, const Real *output_bias, const Matrix<Real> &matrix, Hidden hidden,
                  const Matrix<Real> *change = nullptr) const {
        for_outputs(
            t,
            [&](int64_t s, int64_t i, int64_t k) {
                scratch.places[k] = scratch.output + k * sizes.out;
                scratch.targets[k] = value(s, i);
                scratch.left[k] = hidden(i);
                scratch.right[k] = row(t + 1, i);
                memcpy(scratch.places[k], output_bias, sizes.o * sizeof(Real));
            },
            [&](int64_t count) {
                add_in_segments(matrix, scratch.left, count);
                if (change) add_in_segments(*change, scratch.right, count);
                for (int64_t k = 0; k < count; k++)
                    memcpy(scratch.targets[k], scratch.places[k], sizes.o * sizeof(Real));
            });
    }
    // An output is a sum of n terms of which few cancel: added in segments, it keeps the precision of a library's.
    void add_in_segments(const Matrix<Real> &matrix, const Real **left, int64_t count) const {
        for (int64_t start = 0; start < sizes.n; start += SEGMENT) {
            const int64_t length = sizes.n - start < SEGMENT ? sizes.n - start : SEGMENT;
            matrix.multiply(left, scratch.places, count, length, true, start);
            for (int64_t k = 0; k < count; k++) left[k] += length;
        }
    }

    // ------------------------------------------------------------ partial sums

    // Those of tile k of the replica, `size` numbers.
    Real *partial(int64_t k, int64_t size) const {
        return static_cast<Real *>(block.partials) + (replica * parts(block.sequences, block.tile) + k) * size;
    }

    double &tile_loss() const {
        return block.tile_losses[replica * parts(block.sequences, block.tile) + number];
    }

    // Whether this tile is the last one of its replica to be done; then adds the tiles' partial sums and losses, in
    // their order.
    bool adds_partials(int64_t size) const {
        if (__atomic_sub_fetch(block.missing + replica, 1, __ATOMIC_ACQ_REL) != 0) return false;
        Real *total = partial(0, size);
        for (int64_t k = 1; k < parts(block.sequences, block.tile); k++) {
            const Real *other = partial(k, size);
            for (int64_t j = 0; j < size; j += LANES<Real>)
                Whole<Real>::store(total + j, Whole<Real>::load(total + j) + Whole<Real>::load(other + j));
        }
        if (block.losses) {
            const int64_t tiles = parts(block.sequences, block.tile);
            double total = 0;
            for (int64_t k = 0; k < tiles; k++) total += block.tile_losses[replica * tiles + k];
            block.losses[replica] = total;
        }
        return true;
    }
};

// Runs tiles of a block until none is left.
template <class Tile, class Scratch> void run_tiles(Block &block, Sweep sweep, void *memory) {
    Scratch scratch(block, memory);
    const int64_t tiles = parts(block.sequences, block.tile), all = block.replicas * tiles;
    for (int64_t k; (k = __atomic_fetch_add(&block.next, 1, __ATOMIC_RELAXED)) < all;) {
        // Backward first the tiles that came last before: their rows are still in the caches.
        const int64_t tile = sweep == BACKWARD ? all - 1 - k : k;
        Tile(block, scratch, tile / tiles, tile % tiles).run(sweep);
    }
}

}  // namespace
