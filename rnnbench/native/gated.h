// Sweeps of a net with gates through time, for one block of sequences, on a CPU; lstm.cpp and gru.cpp have the cells.
//
// A cell computes its state from a few pre-activations for each unit, in blocks of n. The first RECURRENT blocks are
// products with [h_{t-1}, x_t, 1], all in one; a further block, if there is one, is a product with [x_t, 1]. One step
// of a tile is this product, then the cell's own part, a vector of units at a time. What the backward sweeps and the
// tangents need of a step is saved beside its state.
//
// In memory the blocks lie side by side, not padded, so that they are one operand. A vector of the last units of a
// block overlaps the next block. Whoever writes the blocks begins with the last units and the first block: what is
// overwritten wrongly is written again.
//
// Tiles and letters: tiles.h.

#pragma once

#include "losses.h"

namespace {

// One sequence at one step, as its cell sees it.
template <class Real> struct Step {
    int64_t n, padding;     // a block's width, and that of a saved vector
    Real *blocks;           // pre-activations, or their gradients or tangents
    const Real *h_before;   // h_{t-1}
    const Real *before;     // what was saved at t - 1, SAVED vectors
    Real *saved;            // what is saved at t
};

template <class Real, class Cell> struct GatedScratch : CommonScratch<Real> {
    Real *step, *direction_step, *separate, *direction_separate, *recurrent;
    Real *blocks, *hidden, *memory, *saved;
    int64_t loaded = -1;           // replica whose weights are in the matrices of the sweeps forward
    int64_t loaded_backward = -1;  // and in those of the sweep backward

    GatedScratch(const Block &block, void *memory_) : CommonScratch<Real>(block, memory_) {
        const Sizes<Real> sizes(block);
        const int64_t n = sizes.n, m = block.tile, width = Cell::RECURRENT * n;
        Arena &arena = this->arena;
        step = arena.take<Real>(Matrix<Real>::size(sizes.c, width));
        direction_step = arena.take<Real>(Matrix<Real>::size(sizes.c, width));
        recurrent = arena.take<Real>(Matrix<Real>::size(width, n));
        separate = arena.take<Real>(Cell::SEPARATE * Matrix<Real>::size(sizes.d + 1, n));
        direction_separate = arena.take<Real>(Cell::SEPARATE * Matrix<Real>::size(sizes.d + 1, n));
        blocks = arena.take<Real>((sizes.steps_at_once + 1) * m * blocks_width(sizes));
        hidden = arena.take<Real>(2 * m * sizes.state);
        memory = arena.take<Real>(m * sizes.state);
        saved = arena.take<Real>(block.saved ? 0 : (block.steps + 1) * m * Cell::SAVED * sizes.state);
    }
    static int64_t blocks_width(const Sizes<Real> &sizes) {  // with room for the last vector of the last block
        return padded<Real>((Cell::RECURRENT + Cell::SEPARATE) * sizes.n + LANES<Real>);
    }
};

template <class Real, class Cell> struct GatedTile : CommonTile<Real> {
    typedef CommonTile<Real> Common;
    typedef GatedScratch<Real, Cell> Scratch;
    using Common::block, Common::sizes, Common::replica, Common::first, Common::m, Common::number, Common::theta;
    using Common::row, Common::value, Common::list_outputs, Common::for_outputs, Common::write_inputs;
    using Common::read_out, Common::has_ended, Common::partial, Common::adds_partials, Common::tangents;
    static constexpr int64_t RECURRENT = Cell::RECURRENT, SEPARATE = Cell::SEPARATE;
    Scratch &scratch;
    const int64_t width;  // of a row of blocks
    Real *all_saved;

    GatedTile(const Block &block, Scratch &scratch, int64_t replica, int64_t number)
        : Common(block, scratch, replica, number), scratch(scratch), width(Scratch::blocks_width(sizes)) {
        all_saved = this->own_part(block.saved, Cell::SAVED * sizes.state, scratch.saved);
    }

    Real *saved(int64_t t, int64_t i) const { return all_saved + (t * m + i) * Cell::SAVED * sizes.state; }
    Real *blocks(int64_t slot, int64_t i) const { return scratch.blocks + (slot * m + i) * width; }
    Real *hidden(int64_t slot, int64_t i) const { return scratch.hidden + (slot * m + i) * sizes.state; }
    Real *memory(int64_t i) const { return scratch.memory + i * sizes.state; }
    Real *tangent(int64_t t, int64_t i) const {
        return tangents ? tangents + (t * m + i) * sizes.state : hidden(t % 2, i);
    }
    Step<Real> step_of(int64_t t, int64_t i, int64_t slot) const {  // step t, from the states at t to those at t + 1
        return {sizes.n, sizes.state, blocks(slot, i), row(t, i), saved(t, i), saved(t + 1, i)};
    }

    // Asks for what the sweeps read of step t while another step is computed: more than the caches hold is saved.
    void prefetch(int64_t t, int64_t i) const {
        if (t < 0 || t >= block.steps) return;
        constexpr int64_t line = LINE_BYTES / sizeof(Real), to_second_cache = 1;
        const Real *operand = row(t, i), *kept = saved(t + 1, i);
        for (int64_t k = 0; k < sizes.row; k += line) __builtin_prefetch(operand + k, 0, to_second_cache);
        for (int64_t k = 0; k < Cell::SAVED * sizes.state; k += line) __builtin_prefetch(kept + k, 0, to_second_cache);
    }

    // Parts of theta or of a direction in its space, in the order of the cell's layout.
    const Real *input_weights(const Real *of) const { return of + Cell::WEIGHTS * sizes.n * sizes.n; }
    const Real *bias(const Real *of) const { return input_weights(of) + Cell::WEIGHTS * sizes.n * sizes.d; }
    const Real *initial_state(const Real *of) const { return bias(of) + Cell::BIASES * sizes.n; }
    const Real *output_weights(const Real *of) const { return initial_state(of) + Cell::PARTS * sizes.n; }
    const Real *output_bias(const Real *of) const { return output_weights(of) + sizes.o * sizes.n; }

    // ------------------------------------------------------------ weights

    // [W_hh^T; W_ih^T; b] of the recurrent blocks, (c, RECURRENT n). Those after the first SHARED do not see x_t.
    Matrix<Real> step_matrix(const Real *of, Real *memory, bool is_loaded) const {
        const int64_t n = sizes.n, d = sizes.d, shared = Cell::SHARED * n;
        Matrix<Real> matrix(memory, sizes.c, RECURRENT * n, is_loaded);
        if (is_loaded) return matrix;
        matrix.fill(0, n, of, 1, n);
        matrix.fill(n, d, input_weights(of), 1, d, 0, shared);
        matrix.fill(n + d, 1, bias(of), 0, 1, 0, shared);
        if (shared < RECURRENT * n)
            matrix.fill(n + d, 1, bias(of) + Cell::WEIGHTS * n, 0, 1, shared, RECURRENT * n - shared);
        return matrix;
    }
    // [W_ih^T; b] of the block that does not see h, (d + 1, n)
    Matrix<Real> separate_matrix(const Real *of, Real *memory, bool is_loaded) const {
        const int64_t n = sizes.n, d = sizes.d, shared = Cell::SHARED * n;
        Matrix<Real> matrix(memory, d + 1, n, is_loaded);
        if (is_loaded) return matrix;
        matrix.fill(0, d, input_weights(of) + shared * d, 1, d);
        matrix.fill(d, 1, bias(of) + shared, 0, 1);
        return matrix;
    }
    // W_out^T, (n, o)
    Matrix<Real> readout_matrix(const Real *of, Real *memory, bool is_loaded) const {
        Matrix<Real> matrix(memory, sizes.n, sizes.o, is_loaded);
        if (!is_loaded) matrix.fill(0, sizes.n, output_weights(of), 1, sizes.n);
        return matrix;
    }

    // Writes products with [h_{t-1}, x_t, 1] and [x_t, 1] to the blocks of slot 0.
    void multiply_operands(int64_t t, const Matrix<Real> &step, const Real *of, Real *separate, bool is_loaded) const {
        for (int64_t i = 0; i < m; i++) {
            scratch.left[i] = row(t, i);
            scratch.places[i] = blocks(0, i);
        }
        step.multiply(scratch.left, scratch.places, m, sizes.c, false);
        if constexpr (SEPARATE) {
            for (int64_t i = 0; i < m; i++) {
                scratch.left[i] = row(t, i) + sizes.n;
                scratch.places[i] = blocks(0, i) + RECURRENT * sizes.n;
            }
            separate_matrix(of, separate, is_loaded).multiply(scratch.left, scratch.places, m, sizes.d + 1, false);
        }
    }

    // ------------------------------------------------------------ forward

    void forward() const {
        const bool is_loaded = scratch.loaded == replica;
        const Matrix<Real> step = step_matrix(theta, scratch.step, is_loaded);
        const Matrix<Real> readout = readout_matrix(theta, scratch.readout, is_loaded);
        if (SEPARATE) separate_matrix(theta, scratch.separate, is_loaded);
        scratch.loaded = replica;
        list_outputs();
        for (int64_t i = 0; i < m; i++) {
            memset(row(0, i), 0, sizes.row * sizeof(Real));
            memset(saved(0, i), 0, Cell::SAVED * sizes.state * sizeof(Real));
            memcpy(row(0, i), initial_state(theta), sizes.n * sizeof(Real));
            if (Cell::PARTS > 1) memcpy(saved(0, i), initial_state(theta) + sizes.n, sizes.n * sizeof(Real));
        }
        write_inputs(0);
        for (int64_t t = 0; t < block.steps; t++) {
            multiply_operands(t, step, theta, scratch.separate, true);
            for (int64_t i = 0; i < m; i++) {
                const Step<Real> at = step_of(t, i, 0);
                Real *h = row(t + 1, i);
                for_vectors<Real>(sizes.n, [&](auto pack, int64_t v) {
                    typedef decltype(pack) P;
                    P::store(h + v, Cell::template advance<P>(at, v));
                });
            }
            write_inputs(t + 1);
            read_out(t, output_bias(theta), readout, [&](int64_t i) { return row(t + 1, i); });
        }
    }

    // ------------------------------------------------------------ tangents

    void tangents_sweep() const {
        const Real *direction = static_cast<const Real *>(block.direction) + replica * block.direction_stride;
        const bool is_loaded = scratch.loaded == replica;
        const Matrix<Real> step = step_matrix(theta, scratch.step, is_loaded);
        const Matrix<Real> readout = readout_matrix(theta, scratch.readout, is_loaded);
        const Matrix<Real> change = step_matrix(direction, scratch.direction_step, is_loaded);
        const Matrix<Real> readout_change = readout_matrix(direction, scratch.direction_readout, is_loaded);
        if (SEPARATE) separate_matrix(direction, scratch.direction_separate, is_loaded);
        scratch.loaded = replica;
        list_outputs();
        for (int64_t i = 0; i < m; i++) {
            memset(tangent(0, i), 0, sizes.state * sizeof(Real));
            memcpy(tangent(0, i), initial_state(direction), sizes.n * sizeof(Real));
            memset(memory(i), 0, sizes.state * sizeof(Real));
            if (Cell::PARTS > 1) memcpy(memory(i), initial_state(direction) + sizes.n, sizes.n * sizeof(Real));
        }
        for (int64_t t = 0; t < block.steps; t++) {
            multiply_operands(t, change, direction, scratch.direction_separate, true);
            for (int64_t i = 0; i < m; i++) {
                scratch.left[i] = tangent(t, i);
                scratch.places[i] = blocks(0, i);
            }
            step.multiply(scratch.left, scratch.places, m, sizes.n, true);
            for (int64_t i = 0; i < m; i++) {
                prefetch(t + 1, i);
                Real *place = tangent(t + 1, i);
                if (has_ended(t, i)) {
                    // States after a sequence's end affect no output; they must not enter structural damping either.
                    memset(place, 0, sizes.state * sizeof(Real));
                    continue;
                }
                const Step<Real> at = step_of(t, i, 0);
                const Real *change_before = tangent(t, i);
                Real *memory_change = memory(i);
                for_vectors<Real>(sizes.n, [&](auto pack, int64_t v) {
                    typedef decltype(pack) P;
                    P::store(place + v, Cell::template push<P>(at, P::load(change_before + v), memory_change, v));
                });
            }
            read_out(
                t, output_bias(direction), readout, [&](int64_t i) { return tangent(t + 1, i); }, &readout_change);
        }
    }

    // ------------------------------------------------------------ backward

    // Partial sums: RECURRENT n rows for the weights of the recurrent blocks, o rows for [W_out, -, b_out], d + 1 rows
    // of n for the weights of the separate block, and PARTS rows of n for the initial state.
    static int64_t partial_size(const Block &block) {
        const Sizes<Real> sizes(block);
        return (RECURRENT * sizes.n + sizes.o) * sizes.row + (SEPARATE * (sizes.d + 1) + Cell::PARTS) * sizes.state;
    }
    struct Sums {
        Real *steps, *outputs, *separate, *initial;
        Sums(Real *all, const Sizes<Real> &sizes)
            : steps(all), outputs(all + RECURRENT * sizes.n * sizes.row), separate(outputs + sizes.o * sizes.row),
              initial(separate + SEPARATE * (sizes.d + 1) * sizes.state) {}
    };

    // dL/dh_t = W_hh^T dL/da_{t+1} [+ what the cell carries on] + W_out^T dL/dz at the output steps [+ damping], last
    // step first. The outer products of dL/da_t with the operands of the steps are summed in the tile's partial sums.
    void backward() const {
        const int64_t n = sizes.n, o = sizes.o, at_once = sizes.steps_at_once;
        const bool traces = block.state_gradients != nullptr, is_loaded = scratch.loaded_backward == replica;
        Matrix<Real> recurrent(scratch.recurrent, RECURRENT * n, n, is_loaded);
        Matrix<Real> injection(scratch.injection, o, n, is_loaded);
        if (!is_loaded) {
            recurrent.fill(0, RECURRENT * n, theta, n, 1);
            injection.fill(0, o, output_weights(theta), n, 1);
        }
        scratch.loaded_backward = replica;
        int64_t last = list_outputs();
        if (block.structural) last = block.steps - 1;
        Real *all_sums = partial(number, partial_size(block));
        if (!traces) memset(all_sums, 0, partial_size(block) * sizeof(Real));
        const Sums sums(all_sums, sizes);
        memset(hidden(0, 0), 0, m * sizes.state * sizeof(Real));
        memset(memory(0), 0, m * sizes.state * sizeof(Real));

        const auto pull_back = [&](int64_t slot) {  // through the pre-activations of a slot
            for (int64_t i = 0; i < m; i++) {
                scratch.left[i] = blocks(slot, i);
                scratch.places[i] = hidden(0, i);
            }
            recurrent.multiply(scratch.left, scratch.places, m, RECURRENT * n, Cell::CARRIES);
        };
        int64_t found = 0;
        const auto add_output_products = [&] {
            if (!traces)
                add_outer_products(scratch.output_left, scratch.output_right, found, o, sizes.c, sums.outputs,
                                   sizes.row);
            found = 0;
        };
        for (int64_t stop = last + 1; stop > 0;) {  // steps start to stop - 1; slot k holds dL/da of step start + k
            const int64_t start = stop > at_once ? stop - at_once : 0, count = stop - start;
            if (stop <= last) memmove(blocks(count, 0), blocks(0, 0), m * width * sizeof(Real));
            for (int64_t t = stop - 1; t >= start; t--) {
                const int64_t slot = t - start;
                if (t < last) pull_back(slot + 1);
                for_outputs(
                    t,
                    [&](int64_t s, int64_t i, int64_t k) {
                        scratch.left[k] = value(s, i);
                        scratch.places[k] = hidden(0, i);
                        if (found == at_once * m) add_output_products();
                        scratch.output_left[found] = value(s, i);
                        scratch.output_right[found++] = row(t + 1, i);
                    },
                    [&](int64_t number_of) { injection.multiply(scratch.left, scratch.places, number_of, o, true); });
                if (traces) trace(t);
                pull_through_cells(t, slot);
            }
            if (!traces) add_step_products(start, count, sums);
            add_output_products();
            stop = start;
        }
        if (traces) return;
        if (last >= 0) pull_back(0);
        for (int64_t i = 0; i < m; i++)
            for (int64_t k = 0; k < n; k++) {
                sums.initial[k] += hidden(0, i)[k];
                if (Cell::PARTS > 1) sums.initial[sizes.state + k] += memory(i)[k];
            }
        if (adds_partials(partial_size(block))) assemble();
    }

    void pull_through_cells(int64_t t, int64_t slot) const {
        const Real weight = block.structural ? static_cast<const Real *>(block.structural)[replica] : Real(0);
        for (int64_t i = 0; i < m; i++) {
            prefetch(t - 1, i);
            const Step<Real> at = step_of(t, i, slot);
            const Real *change = block.structural ? tangent(t + 1, i) : nullptr;
            Real *gradients = hidden(0, i), *memory_gradients = memory(i);
            for_vectors_backwards<Real>(sizes.n, [&](auto pack, int64_t v) {
                typedef decltype(pack) P;
                auto gradient = P::load(gradients + v);
                if (change) gradient += weight * P::load(change + v);
                P::store(gradients + v, Cell::template pull<P>(at, gradient, memory_gradients, v));
            });
        }
    }

    void add_step_products(int64_t start, int64_t count, const Sums &sums) const {
        for (int64_t k = 0; k < count * m; k++) {
            scratch.left[k] = blocks(0, k);
            scratch.right[k] = row(start, k);
        }
        add_outer_products(scratch.left, scratch.right, count * m, RECURRENT * sizes.n, sizes.c, sums.steps, sizes.row);
        if constexpr (SEPARATE) {
            for (int64_t k = 0; k < count * m; k++) {
                scratch.left[k] = row(start, k) + sizes.n;
                scratch.right[k] = blocks(0, k) + RECURRENT * sizes.n;
            }
            add_outer_products(scratch.left, scratch.right, count * m, sizes.d + 1, sizes.n, sums.separate,
                               sizes.state);
        }
    }

    void trace(int64_t t) const {
        const int64_t n = sizes.n;
        Real *to = static_cast<Real *>(block.state_gradients) +
                   ((t * block.replicas + replica) * block.traced + first) * Cell::PARTS * n;
        for (int64_t i = 0; i < m && first + i < block.traced; i++, to += Cell::PARTS * n) {
            memcpy(to, hidden(0, i), n * sizeof(Real));
            if (Cell::PARTS > 1) memcpy(to + n, memory(i), n * sizeof(Real));
        }
    }

    // Writes the gradient in the layout of theta, from the sum of the tiles' partial sums.
    void assemble() const {
        const int64_t n = sizes.n, d = sizes.d, o = sizes.o, row = sizes.row, state = sizes.state;
        const int64_t shared = Cell::SHARED * n, num_parameters = output_bias(theta) + o - theta;
        const Sums sums(partial(0, partial_size(block)), sizes);
        Real *to = static_cast<Real *>(block.gradient) + replica * num_parameters;
        for (int64_t i = 0; i < RECURRENT * n; i++, to += n) memcpy(to, sums.steps + i * row, n * sizeof(Real));
        for (int64_t i = 0; i < shared; i++, to += d) memcpy(to, sums.steps + i * row + n, d * sizeof(Real));
        for (int64_t i = 0; i < SEPARATE * n; i++)
            for (int64_t j = 0; j < d; j++) *to++ = sums.separate[j * state + i];
        for (int64_t i = 0; i < shared; i++) *to++ = sums.steps[i * row + n + d];
        for (int64_t i = 0; i < SEPARATE * n; i++) *to++ = sums.separate[d * state + i];
        for (int64_t i = shared; i < RECURRENT * n; i++) *to++ = sums.steps[i * row + n + d];
        for (int64_t part = 0; part < Cell::PARTS; part++, to += n)
            memcpy(to, sums.initial + part * state, n * sizeof(Real));
        for (int64_t i = 0; i < o; i++, to += n) memcpy(to, sums.outputs + i * row, n * sizeof(Real));
        for (int64_t i = 0; i < o; i++) *to++ = sums.outputs[i * row + n + d];
    }

    // ------------------------------------------------------------

    void run(Sweep sweep) const {
        run_parts(*this, sweep, [&] { forward(); }, [&] { tangents_sweep(); }, [&] { backward(); });
    }
};

}  // namespace
