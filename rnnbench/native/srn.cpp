// Sweeps of the simple recurrent net through time, for one block of sequences, on a CPU.
//
//     h_t = f(W_hh h_{t-1} + W_ih x_t + b),  t = 1 .. T;   z = W_out h + b_out at the output steps
//
// The torch reference is rnnbench/models/reference_sweeps.py; the equations beside each sweep are written there too.
//
// A tile is a few sequences of one replica. It runs through all steps before the next tile begins, so its state stays
// in the cache. Threads that call `run_float` or `run_double` on one block take its tiles one after another. A tile
// writes its own partial sums, and the thread that completes a replica adds them in the order of its tiles: the bits of
// a result depend neither on the number of threads nor on the other replicas.
//
// Letters: r replicas, b sequences, T steps, n hidden units, d inputs, o outputs, S outputs of a sequence,
// c = n + d + 1. A row of a tile is the operand of a step, [h_{t-1}, x_t, 1], padded to cache lines.

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64, MOST_VECTORS = 4;  // 32 registers
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32, MOST_VECTORS = 2;  // 16 registers
#elif defined(__aarch64__)
constexpr int VECTOR_BYTES = 16, MOST_VECTORS = 4;  // 32 registers
#else
constexpr int VECTOR_BYTES = 16, MOST_VECTORS = 2;
#endif
#if defined(__AVX512F__) && defined(__AVX512VL__)
constexpr int HALF_BYTES = 32;  // some processors compute with halves of a vector; they gain where one is empty
#else
constexpr int HALF_BYTES = VECTOR_BYTES;
#endif
constexpr int MOST_ROWS = 6;  // MOST_ROWS x MOST_VECTORS sums, MOST_VECTORS operands and one more fill the registers
constexpr int64_t LINE_BYTES = 64;
constexpr int64_t CHUNK_ROWS = 96;  // rows whose outer products are summed at once, while they are in the cache
constexpr int64_t SEGMENT = 32;

extern "C" struct Block {  // rnnbench/native/library.py has the same fields in the same order
    int64_t replicas, sequences, steps, hidden, inputs, outputs;
    int64_t num_outputs;   // S
    int64_t tile;          // sequences of a tile; the last one of a replica may have fewer
    int64_t nonlinearity;  // TANH ...
    int64_t distance;      // SQUARED_ERROR or CROSS_ENTROPY, if `structural` is given
    int64_t traced;        // number of first sequences in `state_gradients`
    int64_t theta_stride, direction_stride;
    int64_t input_strides[3];   // step, replica, sequence
    int64_t end_strides[3];     // output, replica, sequence
    int64_t length_strides[2];  // replica, sequence
    const void *theta, *direction;  // (r, P)
    const void *input;              // (T, r, b, d)
    const int64_t *ends;            // (S, r, b), the steps of the outputs; null: S = T, an output at every step
    const int64_t *lengths;         // (r, b); not read if `ends` is null
    void *rows;             // (r, tiles, T + 1, sequences of the tile, padded c)
    void *tangents;         // (r, tiles, T + 1, sequences of the tile, padded n); null: they are not kept
    void *values;           // (S, r, b, o), outputs or their gradients
    const void *structural; // (r,), weight of structural damping; null: none
    void *partials;         // (r, tiles, n + o + 1, padded c), sums of a tile
    void *gradient;         // (r, P)
    void *state_gradients;  // (T, r, traced, n), zero
    int64_t *missing;       // (r,), tiles of the replica that are not done
    int64_t next;           // next tile
};

#define UNROLL _Pragma("GCC unroll 8")

namespace {

enum Nonlinearity { TANH, SIGMOID, RELU, LINEAR };
enum Distance { SQUARED_ERROR, CROSS_ENTROPY };
enum Sweep { FORWARD, BACKWARD, TANGENTS, STATE_GRADIENTS };

// ---------------------------------------------------------------- vectors

template <class Real> struct Numbers;
template <> struct Numbers<float> {
    typedef uint32_t Bits;
    static constexpr int mantissa = 23;
    static constexpr Bits one = 0x3f800000;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr float tanh_limit = 20.0f, exp_limit = 87.0f;
    // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, of least largest error: 1.6e-8 of exp(r) - 1
    static constexpr float series[] = {1.3946581e-3f, 8.3666593e-3f, 4.1666280e-2f, 1.6666542e-1f, 0.5f};
};
template <> struct Numbers<double> {
    typedef uint64_t Bits;
    static constexpr int mantissa = 52;
    static constexpr Bits one = 0x3ff0000000000000;
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr double tanh_limit = 44.0, exp_limit = 708.0;
    static constexpr double series[] = {1 / 87178291200.0, 1 / 6227020800.0, 1 / 479001600.0, 1 / 39916800.0,
                                        1 / 3628800.0,     1 / 362880.0,     1 / 40320.0,     1 / 5040.0,
                                        1 / 720.0,         1 / 120.0,        1 / 24.0,        1 / 6.0,
                                        0.5};
};

// A vector of some bytes, and the memory access that needs no alignment.
template <class Number, int BYTES> struct Pack {
    typedef Number Real;
    typedef Real Vector __attribute__((vector_size(BYTES)));
    typedef Real Anywhere __attribute__((vector_size(BYTES), aligned(sizeof(Real)), may_alias));
    typedef typename Numbers<Real>::Bits Bits __attribute__((vector_size(BYTES)));

    static Vector load(const Real *from) { return *reinterpret_cast<const Anywhere *>(from); }
    static void store(Real *to, Vector vector) { *reinterpret_cast<Anywhere *>(to) = vector; }
};
template <class Real> using Whole = Pack<Real, VECTOR_BYTES>;
template <class Real> using Half = Pack<Real, HALF_BYTES>;
template <class Real> constexpr int64_t LANES = VECTOR_BYTES / sizeof(Real);

template <class Real> int64_t vectors(int64_t width) { return (width + LANES<Real> - 1) / LANES<Real>; }
template <class Real> int64_t padded(int64_t width) {
    constexpr int64_t line = LINE_BYTES / sizeof(Real);
    return (width + line - 1) / line * line;
}
// Whether the last vector of a row needs only its lower half.
template <class Real> bool ends_with_half(int64_t width) {
    return HALF_BYTES < VECTOR_BYTES && vectors<Real>(width) * LANES<Real> - width >= LANES<Real> / 2;
}

// ---------------------------------------------------------------- nonlinearities

// exp(y) - 1 for |y| <= limit, to about a unit in the last place, near 0 too; NaN stays NaN.
template <class P> inline typename P::Vector expm1(typename P::Vector y, typename P::Real limit) {
    typedef typename P::Vector Vector;
    typedef Numbers<typename P::Real> N;
    const Vector high = limit - Vector{}, low = -high;
    y = y > high ? high : y;
    y = y < low ? low : y;
    const Vector shifted = y * typename P::Real(1.44269504088896340736) + N::magic, power = shifted - N::magic;
    const Vector rest = (y - power * N::ln2_high) - power * N::ln2_low;
    Vector series = N::series[0] - Vector{};
    for (unsigned k = 1; k < sizeof N::series / sizeof N::series[0]; k++) series = series * rest + N::series[k];
    const Vector fraction = (rest * rest) * series + rest;
    const typename P::Bits bits = (reinterpret_cast<typename P::Bits>(shifted) << N::mantissa) + N::one;
    const Vector scale = reinterpret_cast<Vector>(bits);  // 2^power
    return scale * fraction + (scale - 1);
}

template <class P, int F> inline typename P::Vector activate(typename P::Vector a) {
    if (F == TANH) {
        const typename P::Vector u = expm1<P>(a + a, Numbers<typename P::Real>::tanh_limit);
        return u / (u + 2);
    }
    if (F == SIGMOID) return 1 / (expm1<P>(-a, Numbers<typename P::Real>::exp_limit) + 2);
    if (F == RELU) return a < 0 ? typename P::Vector{} : a;
    return a;
}

// f'(a) times a gradient or tangent, from h = f(a).
template <class P, int F> inline typename P::Vector pull(typename P::Vector gradient, typename P::Vector h) {
    if (F == TANH) return gradient * (1 - h * h);
    if (F == SIGMOID) return gradient * (h * (1 - h));
    if (F == RELU) return h <= 0 ? typename P::Vector{} : gradient;
    return gradient;
}

// Calls what(pack, offset) for every vector of a row.
template <class Real, class What> inline void for_vectors(int64_t width, What what) {
    const bool half = ends_with_half<Real>(width);
    const int64_t whole = vectors<Real>(width) - half;
    for (int64_t v = 0; v < whole; v++) what(Whole<Real>(), v * LANES<Real>);
    if (half) what(Half<Real>(), whole * LANES<Real>);
}

// ---------------------------------------------------------------- products

// Sums in registers: M rows of V vectors, the last of which is perhaps a half.
template <class Real, int M, int V, bool HALF> struct Sums {
    typedef Whole<Real> W;
    typedef Half<Real> H;
    static constexpr int wholes = V - HALF, lanes = LANES<Real>;
    typename W::Vector whole[M][wholes ? wholes : 1];
    typename H::Vector half[M];

    void clear() {
        UNROLL for (int i = 0; i < M; i++) {
            UNROLL for (int v = 0; v < wholes; v++) whole[i][v] = typename W::Vector{};
            half[i] = typename H::Vector{};
        }
    }
    // Adds left[i] times a row of vectors.
    template <class Left> void add(const Real *right, Left left) {
        typename W::Vector operand[wholes ? wholes : 1];
        typename H::Vector last{};
        UNROLL for (int v = 0; v < wholes; v++) operand[v] = W::load(right + v * lanes);
        if (HALF) last = H::load(right + wholes * lanes);
        UNROLL for (int i = 0; i < M; i++) {
            const Real one = left(i);
            UNROLL for (int v = 0; v < wholes; v++) whole[i][v] += one * operand[v];
            if (HALF) half[i] += one * last;
        }
    }
    void store(int i, Real *to) const {
        UNROLL for (int v = 0; v < wholes; v++) W::store(to + v * lanes, whole[i][v]);
        if (HALF) H::store(to + wholes * lanes, half[i]);
    }
    void add_to(int i, Real *to) const {
        UNROLL for (int v = 0; v < wholes; v++) W::store(to + v * lanes, W::load(to + v * lanes) + whole[i][v]);
        if (HALF) H::store(to + wholes * lanes, H::load(to + wholes * lanes) + half[i]);
    }
};

// out (M rows, V vectors each) = [out +] left (M rows, depth) times a panel (depth, V vectors).
template <class Real, int M, int V, bool HALF>
void product(const Real *const *left, Real *const *out, int64_t first, int64_t depth, const Real *panel, bool adds) {
    Sums<Real, M, V, HALF> sums;
    const Real *rows[M];
    sums.clear();
    UNROLL for (int i = 0; i < M; i++) rows[i] = left[i];
    for (int64_t k = 0; k < depth; k++) sums.add(panel + k * V * LANES<Real>, [&](int i) { return rows[i][k]; });
    UNROLL for (int i = 0; i < M; i++) {
        if (adds) sums.add_to(i, out[i] + first);
        else sums.store(i, out[i] + first);
    }
}

// total (M of its rows from `unit` on, V vectors from `first` on) += sum over rows of left_row right_row^T.
template <class Real, int M, int V, bool HALF>
void outer(const Real *const *left, const Real *const *right, int64_t count, int64_t unit, int64_t first, Real *total,
           int64_t width) {
    Sums<Real, M, V, HALF> sums;
    sums.clear();
    for (int64_t row = 0; row < count; row++) {
        const Real *ones = left[row] + unit;
        sums.add(right[row] + first, [&](int i) { return ones[i]; });
    }
    UNROLL for (int i = 0; i < M; i++) sums.add_to(i, total + (unit + i) * width + first);
}

template <class Real> struct Kernels {
    static constexpr int HALVES = HALF_BYTES < VECTOR_BYTES ? 2 : 1;
    decltype(&product<Real, 1, 1, false>) products[MOST_ROWS][MOST_VECTORS][HALVES];
    decltype(&outer<Real, 1, 1, false>) outers[MOST_ROWS][MOST_VECTORS][HALVES];

    template <int M, int V> constexpr void fill() {
        products[M - 1][V - 1][0] = product<Real, M, V, false>;
        outers[M - 1][V - 1][0] = outer<Real, M, V, false>;
        if constexpr (HALVES > 1) {
            products[M - 1][V - 1][1] = product<Real, M, V, true>;
            outers[M - 1][V - 1][1] = outer<Real, M, V, true>;
        }
        if constexpr (V > 1) fill<M, V - 1>();
        else if constexpr (M > 1) fill<M - 1, MOST_VECTORS>();
    }
    constexpr Kernels() : products(), outers() { fill<MOST_ROWS, MOST_VECTORS>(); }
};
template <class Real> constexpr Kernels<Real> kernels;

// Even split of a length into parts of at most `most`; part k begins at bound(length, count, k).
inline int64_t parts(int64_t length, int64_t most) { return (length + most - 1) / most; }
inline int64_t bound(int64_t length, int64_t count, int64_t k) { return length * k / count; }

// A matrix (depth, width) in panels of a few vectors, each contiguous, padded with zeros.
template <class Real> struct Matrix {
    Real *data;
    int64_t depth, width, vectors_, panels;

    Matrix(Real *memory, int64_t depth, int64_t width)
        : data(memory), depth(depth), width(width), vectors_(vectors<Real>(width)), panels(parts(vectors_, MOST_VECTORS)) {
        memset(data, 0, size(depth, width) * sizeof(Real));
    }
    static int64_t size(int64_t depth, int64_t width) {  // in whole lines
        return padded<Real>(depth * vectors<Real>(width) * LANES<Real>);
    }

    // Element (row, column) is source[row * row_stride + column * column_stride].
    void fill(int64_t first_row, int64_t rows, const Real *source, int64_t row_stride,
              int64_t column_stride) {
        for (int64_t p = 0; p < panels; p++) {
            const int64_t start = bound(vectors_, panels, p), stop = bound(vectors_, panels, p + 1);
            const int64_t columns = (stop - start) * LANES<Real>, first = start * LANES<Real>;
            const int64_t count = width - first < columns ? width - first : columns;
            Real *panel = data + first * depth;
            for (int64_t row = 0; row < rows; row++)
                for (int64_t column = 0; column < count; column++)
                    panel[(first_row + row) * columns + column] =
                        source[row * row_stride + (first + column) * column_stride];
        }
    }

    // out = [out +] left (count rows) times `used` rows of this matrix from `start_row` on.
    void multiply(const Real *const *left, Real *const *out, int64_t count, int64_t used, bool adds,
                  int64_t start_row = 0) const {
        const int64_t groups = parts(count, MOST_ROWS);
        for (int64_t p = 0; p < panels; p++) {
            const int64_t start = bound(vectors_, panels, p), stop = bound(vectors_, panels, p + 1);
            const int64_t first = start * LANES<Real>, columns = (stop - start) * LANES<Real>;
            const bool half = stop == vectors_ && ends_with_half<Real>(width);
            const Real *panel = data + first * depth + start_row * columns;
            for (int64_t g = 0; g < groups; g++) {
                const int64_t row = bound(count, groups, g), rows = bound(count, groups, g + 1) - row;
                kernels<Real>.products[rows - 1][stop - start - 1][half](left + row, out + row, first, used, panel,
                                                                         adds);
            }
        }
    }
};

template <class Real>
void add_outer_products(const Real *const *left, const Real *const *right, int64_t count, int64_t units, int64_t width,
                        Real *total, int64_t total_width) {
    const int64_t all = vectors<Real>(width), panels = parts(all, MOST_VECTORS), groups = parts(units, MOST_ROWS);
    for (int64_t p = 0; p < panels; p++) {
        const int64_t start = bound(all, panels, p), stop = bound(all, panels, p + 1);
        const bool half = stop == all && ends_with_half<Real>(width);
        for (int64_t g = 0; g < groups; g++) {
            const int64_t unit = bound(units, groups, g), rows = bound(units, groups, g + 1) - unit;
            kernels<Real>.outers[rows - 1][stop - start - 1][half](left, right, count, unit, start * LANES<Real>,
                                                                   total, total_width);
        }
    }
}

// ---------------------------------------------------------------- memory of a thread

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

template <class Real> struct Scratch {
    Real *step, *direction_step, *recurrent, *readout, *direction_readout, *injection;
    Real *states, *output;
    const Real **left, **right, **output_left, **output_right;
    Real **places, **targets;
    int64_t *heads, *following;
    int64_t size;

    Scratch(const Block &block, void *memory) {
        const Sizes<Real> sizes(block);
        const int64_t m = block.tile, chunk = sizes.steps_at_once * m;
        Arena arena{static_cast<char *>(memory), 0};
        step = arena.take<Real>(Matrix<Real>::size(sizes.c, sizes.n));
        direction_step = arena.take<Real>(Matrix<Real>::size(sizes.c, sizes.n));
        recurrent = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.n));
        readout = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.o));
        direction_readout = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.o));
        injection = arena.take<Real>(Matrix<Real>::size(sizes.o, sizes.n));
        states = arena.take<Real>((sizes.steps_at_once + 1) * m * sizes.state);
        output = arena.take<Real>(m * sizes.out);
        left = arena.take<const Real *>(chunk);
        right = arena.take<const Real *>(chunk);
        output_left = arena.take<const Real *>(chunk);
        output_right = arena.take<const Real *>(chunk);
        places = arena.take<Real *>(m);
        targets = arena.take<Real *>(m);
        heads = arena.take<int64_t>(block.steps);
        following = arena.take<int64_t>(block.num_outputs * m);
        size = arena.used;
    }
};

// ---------------------------------------------------------------- sweeps of a tile

template <class Real> struct Tile {
    const Block &block;
    const Sizes<Real> sizes;
    Scratch<Real> &scratch;
    const int64_t replica, first, m, number;  // first sequence, number of sequences, number within the replica
    const Real *theta;
    Real *rows, *tangents;

    Tile(const Block &block, Scratch<Real> &scratch, int64_t replica, int64_t number)
        : block(block), sizes(block), scratch(scratch), replica(replica), first(number * block.tile),
          m(block.sequences - first < block.tile ? block.sequences - first : block.tile), number(number) {
        theta = static_cast<const Real *>(block.theta) + replica * block.theta_stride;
        const int64_t before = (replica * block.sequences + first) * (block.steps + 1);
        rows = static_cast<Real *>(block.rows) + before * sizes.row;
        tangents = block.tangents ? static_cast<Real *>(block.tangents) + before * sizes.state : nullptr;
    }

    Real *row(int64_t t, int64_t i) const { return rows + (t * m + i) * sizes.row; }
    Real *tangent(int64_t t, int64_t i) const {
        return tangents ? tangents + (t * m + i) * sizes.state : state(t % 2, i);
    }
    Real *state(int64_t slot, int64_t i) const { return scratch.states + (slot * m + i) * sizes.state; }
    Real *value(int64_t s, int64_t i) const {
        return static_cast<Real *>(block.values) +
               ((s * block.replicas + replica) * block.sequences + first + i) * sizes.o;
    }

    // Parts of theta or of a direction in its space, in the order of `SimpleRnn.layout`.
    const Real *input_weights(const Real *of) const { return of + sizes.n * sizes.n; }
    const Real *bias(const Real *of) const { return input_weights(of) + sizes.n * sizes.d; }
    const Real *initial_state(const Real *of) const { return bias(of) + sizes.n; }
    const Real *output_weights(const Real *of) const { return initial_state(of) + sizes.n; }
    const Real *output_bias(const Real *of) const { return output_weights(of) + sizes.o * sizes.n; }

    // [W_hh^T; W_ih^T; b], (c, n)
    Matrix<Real> step_matrix(const Real *of, Real *memory) const {
        const int64_t n = sizes.n, d = sizes.d;
        Matrix<Real> matrix(memory, sizes.c, n);
        matrix.fill(0, n, of, 1, n);
        matrix.fill(n, d, input_weights(of), 1, d);
        matrix.fill(n + d, 1, bias(of), 0, 1);
        return matrix;
    }
    // W_out^T, (n, o)
    Matrix<Real> readout_matrix(const Real *of, Real *memory) const {
        Matrix<Real> matrix(memory, sizes.n, sizes.o);
        matrix.fill(0, sizes.n, output_weights(of), 1, sizes.n);
        return matrix;
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

    // ------------------------------------------------------------ forward

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
    void read_out(int64_t t, const Real *output_bias, const Matrix<Real> &matrix, const Matrix<Real> *change) const {
        for_outputs(
            t,
            [&](int64_t s, int64_t i, int64_t k) {
                scratch.places[k] = scratch.output + k * sizes.out;
                scratch.targets[k] = value(s, i);
                scratch.left[k] = change ? tangent(t + 1, i) : row(t + 1, i);
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

    template <int F> void forward() const {
        const Matrix<Real> step = step_matrix(theta, scratch.step), readout = readout_matrix(theta, scratch.readout);
        list_outputs();
        for (int64_t i = 0; i < m; i++) {
            memset(row(0, i), 0, sizes.row * sizeof(Real));
            memcpy(row(0, i), initial_state(theta), sizes.n * sizeof(Real));
        }
        write_inputs(0);
        for (int64_t t = 0; t < block.steps; t++) {
            for (int64_t i = 0; i < m; i++) {
                scratch.left[i] = row(t, i);
                scratch.places[i] = row(t + 1, i);
            }
            step.multiply(scratch.left, scratch.places, m, sizes.c, false);
            for (int64_t i = 0; i < m; i++) {
                Real *h = row(t + 1, i);
                for_vectors<Real>(sizes.n, [&](auto pack, int64_t v) {
                    typedef decltype(pack) P;
                    P::store(h + v, activate<P, F>(P::load(h + v)));
                });
            }
            write_inputs(t + 1);
            read_out(t, output_bias(theta), readout, nullptr);
        }
    }

    // ------------------------------------------------------------ tangents

    // dh_t = f'(a_t) (dW [h_{t-1}, x_t, 1] + W_hh dh_{t-1}); dz = W_out dh + dW_out h + db_out
    template <int F> void tangents_sweep() const {
        const Real *direction = static_cast<const Real *>(block.direction) + replica * block.direction_stride;
        const Matrix<Real> step = step_matrix(theta, scratch.step), readout = readout_matrix(theta, scratch.readout);
        const Matrix<Real> change = step_matrix(direction, scratch.direction_step);
        const Matrix<Real> readout_change = readout_matrix(direction, scratch.direction_readout);
        list_outputs();
        for (int64_t i = 0; i < m; i++) {
            memset(tangent(0, i), 0, sizes.state * sizeof(Real));
            memcpy(tangent(0, i), initial_state(direction), sizes.n * sizeof(Real));
        }
        for (int64_t t = 0; t < block.steps; t++) {
            for (int64_t i = 0; i < m; i++) {
                scratch.left[i] = row(t, i);
                scratch.right[i] = tangent(t, i);
                scratch.places[i] = tangent(t + 1, i);
            }
            change.multiply(scratch.left, scratch.places, m, sizes.c, false);
            step.multiply(scratch.right, scratch.places, m, sizes.n, true);
            for (int64_t i = 0; i < m; i++) {
                Real *place = tangent(t + 1, i);
                if (has_ended(t, i)) {
                    // States after a sequence's end affect no output; they must not enter structural damping either.
                    memset(place, 0, sizes.state * sizeof(Real));
                    continue;
                }
                const Real *h = row(t + 1, i);
                for_vectors<Real>(sizes.n, [&](auto pack, int64_t v) {
                    typedef decltype(pack) P;
                    P::store(place + v, pull<P, F>(P::load(place + v), P::load(h + v)));
                });
            }
            read_out(t, output_bias(direction), readout, &readout_change);
        }
    }

    bool has_ended(int64_t t, int64_t i) const {
        return block.ends && t >= block.lengths[replica * block.length_strides[0] + (first + i) * block.length_strides[1]];
    }

    // ------------------------------------------------------------ backward

    Real *partial(int64_t k) const {
        const int64_t tiles = parts(block.sequences, block.tile);
        return static_cast<Real *>(block.partials) +
               (replica * tiles + k) * (sizes.n + sizes.o + 1) * sizes.row;
    }

    // dL/da_t = f'(a_t) (W_hh^T dL/da_{t+1} + W_out^T dL/dz at the output steps) [+ structural damping], last step
    // first. Its outer products with the operands of the steps are summed in the tile's partial sums:
    // n rows for [W_hh, W_ih, b], o rows for [W_out, -, b_out] and one row for the sum of dL/da_1.
    template <int F> void backward() const {
        const int64_t n = sizes.n, o = sizes.o, at_once = sizes.steps_at_once;
        const bool traces = block.state_gradients != nullptr;
        Matrix<Real> recurrent(scratch.recurrent, n, n), injection(scratch.injection, o, n);
        recurrent.fill(0, n, theta, n, 1);
        injection.fill(0, o, output_weights(theta), n, 1);
        const Real weight = block.structural ? static_cast<const Real *>(block.structural)[replica] : Real(0);
        const Real inside = block.distance == SQUARED_ERROR ? weight : 0;
        const Real outside = block.distance == CROSS_ENTROPY ? weight : 0;
        int64_t last = list_outputs();
        if (block.structural) last = block.steps - 1;
        Real *sums = traces ? nullptr : partial(number), *output_sums = sums + n * sizes.row;
        if (!traces) memset(sums, 0, (n + o + 1) * sizes.row * sizeof(Real));

        int64_t found = 0;
        const auto add_output_products = [&] {
            if (!traces)
                add_outer_products(scratch.output_left, scratch.output_right, found, o, sizes.c, output_sums, sizes.row);
            found = 0;
        };
        for (int64_t stop = last + 1; stop > 0;) {  // steps start to stop - 1; slot k holds dL/da of step start + k
            const int64_t start = stop > at_once ? stop - at_once : 0, count = stop - start;
            if (stop <= last) memmove(state(count, 0), state(0, 0), m * sizes.state * sizeof(Real));
            for (int64_t t = stop - 1; t >= start; t--) {
                const int64_t slot = t - start;
                for (int64_t i = 0; i < m; i++) {
                    scratch.left[i] = state(slot + 1, i);
                    scratch.places[i] = state(slot, i);
                }
                if (t < last) recurrent.multiply(scratch.left, scratch.places, m, n, false);
                else memset(state(slot, 0), 0, m * sizes.state * sizeof(Real));
                for_outputs(
                    t,
                    [&](int64_t s, int64_t i, int64_t k) {
                        scratch.left[k] = value(s, i);
                        scratch.places[k] = state(slot, i);
                        if (found == at_once * m) add_output_products();
                        scratch.output_left[found] = value(s, i);
                        scratch.output_right[found++] = row(t + 1, i);
                    },
                    [&](int64_t number_of) { injection.multiply(scratch.left, scratch.places, number_of, o, true); });
                if (traces) trace(t, slot);
                for (int64_t i = 0; i < m; i++) {
                    Real *place = state(slot, i);
                    const Real *h = row(t + 1, i), *change = block.structural ? tangent(t + 1, i) : nullptr;
                    for_vectors<Real>(n, [&](auto pack, int64_t v) {
                        typedef decltype(pack) P;
                        auto gradient = P::load(place + v);
                        if (change) gradient += inside * P::load(change + v);
                        gradient = pull<P, F>(gradient, P::load(h + v));
                        if (change) gradient += outside * P::load(change + v);
                        P::store(place + v, gradient);
                    });
                }
            }
            if (!traces) {
                for (int64_t k = 0; k < count * m; k++) {
                    scratch.left[k] = state(0, k);
                    scratch.right[k] = row(start, k);
                }
                add_outer_products(scratch.left, scratch.right, count * m, n, sizes.c, sums, sizes.row);
            }
            add_output_products();
            stop = start;
        }
        if (traces) return;
        Real *first_sum = output_sums + o * sizes.row;
        for (int64_t i = 0; i < m && last >= 0; i++)
            for (int64_t k = 0; k < n; k++) first_sum[k] += state(0, i)[k];
        if (__atomic_sub_fetch(block.missing + replica, 1, __ATOMIC_ACQ_REL) == 0) assemble();
    }

    void trace(int64_t t, int64_t slot) const {
        Real *to = static_cast<Real *>(block.state_gradients);
        for (int64_t i = 0; i < m && first + i < block.traced; i++)
            memcpy(to + ((t * block.replicas + replica) * block.traced + first + i) * sizes.n, state(slot, i),
                   sizes.n * sizeof(Real));
    }

    // Adds the partial sums of the replica's tiles, in their order, and writes the gradient in the layout of theta.
    void assemble() const {
        const int64_t n = sizes.n, d = sizes.d, o = sizes.o, tiles = parts(block.sequences, block.tile);
        Real *total = partial(0);
        for (int64_t k = 1; k < tiles; k++) {
            const Real *other = partial(k);
            for (int64_t j = 0; j < (n + o + 1) * sizes.row; j += LANES<Real>)
                Whole<Real>::store(total + j, Whole<Real>::load(total + j) + Whole<Real>::load(other + j));
        }
        Real *to = static_cast<Real *>(block.gradient) + replica * (n * (n + d + 2) + o * (n + 1));
        for (int64_t i = 0; i < n; i++, to += n) memcpy(to, total + i * sizes.row, n * sizeof(Real));
        for (int64_t i = 0; i < n; i++, to += d) memcpy(to, total + i * sizes.row + n, d * sizeof(Real));
        for (int64_t i = 0; i < n; i++) *to++ = total[i * sizes.row + n + d];
        const Real *first_sum = total + (n + o) * sizes.row;
        memset(to, 0, n * sizeof(Real));
        for (int64_t i = 0; i < n; i++)  // W_hh^T dL/da_1
            for (int64_t k = 0; k < n; k++) to[k] += first_sum[i] * theta[i * n + k];
        to += n;
        const Real *output_sums = total + n * sizes.row;
        for (int64_t i = 0; i < o; i++, to += n) memcpy(to, output_sums + i * sizes.row, n * sizeof(Real));
        for (int64_t i = 0; i < o; i++) *to++ = output_sums[i * sizes.row + n + d];
    }

    // ------------------------------------------------------------

    template <int F> void run_as(Sweep sweep) const {
        if (sweep == FORWARD) forward<F>();
        else if (sweep == TANGENTS) tangents_sweep<F>();
        else if (sweep == BACKWARD || first < block.traced) backward<F>();
    }
    void run(Sweep sweep) const {
        switch (block.nonlinearity) {
            case TANH: return run_as<TANH>(sweep);
            case SIGMOID: return run_as<SIGMOID>(sweep);
            case RELU: return run_as<RELU>(sweep);
            default: return run_as<LINEAR>(sweep);
        }
    }
};

template <class Real> void run_tiles(Block &block, Sweep sweep, void *memory) {
    Scratch<Real> scratch(block, memory);
    const int64_t tiles = parts(block.sequences, block.tile), all = block.replicas * tiles;
    for (int64_t k; (k = __atomic_fetch_add(&block.next, 1, __ATOMIC_RELAXED)) < all;)
        Tile<Real>(block, scratch, k / tiles, k % tiles).run(sweep);
}

}  // namespace

extern "C" {

// Runs tiles of a block until none is left; several threads may call it at once, each with memory of its own.
void run_float(Block *block, int64_t sweep, void *memory) { run_tiles<float>(*block, Sweep(sweep), memory); }
void run_double(Block *block, int64_t sweep, void *memory) { run_tiles<double>(*block, Sweep(sweep), memory); }

// Bytes of the memory that a thread needs for a block.
int64_t scratch_bytes_float(const Block *block) { return Scratch<float>(*block, nullptr).size; }
int64_t scratch_bytes_double(const Block *block) { return Scratch<double>(*block, nullptr).size; }

int64_t block_bytes() { return sizeof(Block); }

}  // extern "C"
