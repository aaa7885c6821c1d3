// Products of a few rows with a matrix, and sums of outer products.

#pragma once

#include <string.h>

#include "vectors.h"

namespace {

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

    Matrix(Real *memory, int64_t depth, int64_t width, bool is_filled = false)
        : data(memory), depth(depth), width(width), vectors_(vectors<Real>(width)),
          panels(parts(vectors_, MOST_VECTORS)) {
        if (!is_filled) memset(data, 0, size(depth, width) * sizeof(Real));
    }
    static int64_t size(int64_t depth, int64_t width) {  // in whole lines
        return padded<Real>(depth * vectors<Real>(width) * LANES<Real>);
    }

    // Element (first_row + row, first_column + column) is source[row * row_stride + column * column_stride].
    void fill(int64_t first_row, int64_t rows, const Real *source, int64_t row_stride, int64_t column_stride) {
        fill(first_row, rows, source, row_stride, column_stride, 0, width);
    }
    void fill(int64_t first_row, int64_t rows, const Real *source, int64_t row_stride, int64_t column_stride,
              int64_t first_column, int64_t num_columns) {
        for (int64_t p = 0; p < panels; p++) {
            const int64_t start = bound(vectors_, panels, p), stop = bound(vectors_, panels, p + 1);
            const int64_t columns = (stop - start) * LANES<Real>, first = start * LANES<Real>;
            const int64_t left = first_column > first ? first_column - first : 0, after = first_column + num_columns;
            const int64_t right = after - first < columns ? after - first : columns;
            Real *panel = data + first * depth;
            for (int64_t row = 0; row < rows; row++)
                for (int64_t column = left; column < right; column++)
                    panel[(first_row + row) * columns + column] =
                        source[row * row_stride + (first + column - first_column) * column_stride];
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

}  // namespace
