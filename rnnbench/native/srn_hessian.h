// The sweep backward of a product of the Hessian with a direction, for the simple recurrent net.
//
// It differentiates every step of `Tile::backward` along the direction (a dot; Pearlmutter 1994). With z the outputs,
//
//     dL/dh_t   = W_hh^T dL/da_{t+1} + W_out^T dL/dz
//     dL/dh_t.  = W_hh^T dL/da_{t+1}. + dW_hh^T dL/da_{t+1} + W_out^T dL/dz. + dW_out^T dL/dz
//     dL/da_t   = f'(a_t) dL/dh_t
//     dL/da_t.  = f'(a_t) dL/dh_t. + (f''/f')(a_t) dh_t dL/dh_t
//
// The tangents dh_t are those of a sweep TANGENTS that kept them; `values` has dL/dz., and `predictions` has dL/dz.

#pragma once

#include "losses.h"

namespace {

// f''(a) / f'(a) times x, from h = f(a).
template <class P, int F> inline typename P::Vector bend(typename P::Vector x, typename P::Vector h) {
    if (F == TANH) return -2 * h * x;
    if (F == SIGMOID) return (1 - 2 * h) * x;
    return typename P::Vector{};
}

template <class Real> void add_multiple(Real factor, const Real *from, int64_t width, Real *to) {
    for_vectors<Real>(width, [&](auto pack, int64_t v) {
        typedef decltype(pack) P;
        P::store(to + v, P::load(to + v) + factor * P::load(from + v));
    });
}

template <class Real, int F, class Tile> void hessian_backward(const Tile &tile) {
    const Block &block = tile.block;
    const Sizes<Real> &sizes = tile.sizes;
    auto &scratch = tile.scratch;
    const int64_t n = sizes.n, o = sizes.o, m = tile.m, at_once = sizes.steps_at_once;
    const Real *direction = static_cast<const Real *>(block.direction) + tile.replica * block.direction_stride;
    Matrix<Real> recurrent(scratch.recurrent, n, n), recurrent_change(scratch.recurrent_change, n, n);
    Matrix<Real> injection(scratch.injection, o, n), injection_change(scratch.injection_change, o, n);
    recurrent.fill(0, n, tile.theta, n, 1);
    recurrent_change.fill(0, n, direction, n, 1);
    injection.fill(0, o, tile.output_weights(tile.theta), n, 1);
    injection_change.fill(0, o, tile.output_weights(direction), n, 1);
    const auto change = [&](int64_t slot, int64_t i) { return scratch.changes + (slot * m + i) * sizes.state; };
    const int64_t last = tile.list_outputs(), size = Tile::partial_size(block);
    Real *sums = tile.partial(tile.number, size), *output_sums = sums + n * sizes.row;
    memset(sums, 0, size * sizeof(Real));

    for (int64_t stop = last + 1; stop > 0;) {  // steps start to stop - 1; slot k holds those of step start + k
        const int64_t start = stop > at_once ? stop - at_once : 0, count = stop - start;
        if (stop <= last) {
            memmove(tile.state(count, 0), tile.state(0, 0), m * sizes.state * sizeof(Real));
            memmove(change(count, 0), change(0, 0), m * sizes.state * sizeof(Real));
        }
        for (int64_t t = stop - 1; t >= start; t--) {
            const int64_t slot = t - start;
            for (int64_t i = 0; i < m; i++) {
                scratch.left[i] = tile.state(slot + 1, i);
                scratch.right[i] = change(slot + 1, i);
                scratch.places[i] = tile.state(slot, i);
                scratch.targets[i] = change(slot, i);
            }
            if (t < last) {
                recurrent.multiply(scratch.left, scratch.places, m, n, false);
                recurrent.multiply(scratch.right, scratch.targets, m, n, false);
                recurrent_change.multiply(scratch.left, scratch.targets, m, n, true);
            } else {
                memset(tile.state(slot, 0), 0, m * sizes.state * sizeof(Real));
                memset(change(slot, 0), 0, m * sizes.state * sizeof(Real));
            }
            tile.for_outputs(
                t,
                [&](int64_t s, int64_t i, int64_t k) {
                    const Real *slope = static_cast<const Real *>(block.predictions) + tile.place(s, i) * o;
                    scratch.left[k] = slope;
                    scratch.right[k] = tile.value(s, i);
                    scratch.places[k] = tile.state(slot, i);
                    scratch.targets[k] = change(slot, i);
                    for (int64_t j = 0; j < o; j++) {
                        add_multiple(tile.value(s, i)[j], tile.row(t + 1, i), sizes.c, output_sums + j * sizes.row);
                        add_multiple(slope[j], tile.tangent(t + 1, i), n, output_sums + j * sizes.row);
                    }
                },
                [&](int64_t number_of) {
                    injection.multiply(scratch.left, scratch.places, number_of, o, true);
                    injection.multiply(scratch.right, scratch.targets, number_of, o, true);
                    injection_change.multiply(scratch.left, scratch.targets, number_of, o, true);
                });
            for (int64_t i = 0; i < m; i++) {
                Real *place = tile.state(slot, i), *target = change(slot, i);
                const Real *h = tile.row(t + 1, i), *tangent = tile.tangent(t + 1, i);
                for_vectors<Real>(n, [&](auto pack, int64_t v) {
                    typedef decltype(pack) P;
                    const auto state = P::load(h + v), gradient = P::load(place + v);
                    const auto bent = bend<P, F>(gradient * P::load(tangent + v), state);
                    P::store(target + v, pull<P, F>(P::load(target + v), state) + bent);
                    P::store(place + v, pull<P, F>(gradient, state));
                });
            }
        }
        for (int64_t k = 0; k < count * m; k++) {
            scratch.left[k] = change(0, k);
            scratch.right[k] = tile.row(start, k);
        }
        add_outer_products(scratch.left, scratch.right, count * m, n, sizes.c, sums, sizes.row);
        for (int64_t k = 0; k < count * m; k++) {
            scratch.left[k] = tile.state(0, k);
            scratch.right[k] = tile.tangent(start, k);
        }
        add_outer_products(scratch.left, scratch.right, count * m, n, n, sums, sizes.row);
        stop = start;
    }
    Real *first_sum = output_sums + o * sizes.row;
    for (int64_t i = 0; i < m && last >= 0; i++)
        for (int64_t k = 0; k < n; k++) {
            first_sum[k] += change(0, i)[k];
            first_sum[sizes.row + k] += tile.state(0, i)[k];
        }
    if (tile.adds_partials(size)) tile.assemble(direction);
}

}  // namespace
