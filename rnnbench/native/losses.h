// Losses between the sweeps of a tile, so that the sweep backward finds the tile's rows in the cache.
//
// They are those of rnnbench/losses.py, which has the equations. z is an output, y its target, p its probabilities.

#pragma once

#include <cmath>

#include "tiles.h"

namespace {

enum Loss { SQUARED_LOSS, SOFTMAX_LOSS, SIGMOID_LOSS };

// Probabilities of `count` logits, in memory with room for whole vectors; returns log(sum of exp(z)).
template <class Real> Real softmax(const Real *z, int64_t count, Real *p) {
    Real largest = z[0], sum = 0;
    for (int64_t j = 1; j < count; j++) largest = z[j] > largest ? z[j] : largest;
    for (int64_t j = 0; j < count; j++) p[j] = z[j] - largest;
    for_vectors<Real>(count, [&](auto pack, int64_t v) {
        typedef decltype(pack) P;
        P::store(p + v, exponential<P>(P::load(p + v), Numbers<Real>::exp_limit));
    });
    for (int64_t j = 0; j < count; j++) sum += p[j];
    for (int64_t j = 0; j < count; j++) p[j] /= sum;
    return largest + std::log(sum);
}

// Replaces the outputs of a tile by the derivatives of their losses; returns the sum of the losses.
template <class Real> double differentiate(const CommonTile<Real> &tile) {
    const Block &block = tile.block;
    const int64_t o = tile.sizes.o;
    const Real divisor = Real(block.divisor);
    Real *p = tile.scratch.output;
    double total = 0;
    for (int64_t s = 0; s < block.num_outputs; s++)
        for (int64_t i = 0; i < tile.m; i++) {
            Real *z = tile.value(s, i), loss = 0;
            const int64_t place = tile.place(s, i);
            const Real *y = block.loss == SOFTMAX_LOSS ? nullptr : static_cast<const Real *>(block.targets) + place * o;
            if (block.loss == SOFTMAX_LOSS) {
                const int64_t correct = static_cast<const int64_t *>(block.targets)[place];
                loss = softmax(z, o, p) - z[correct];
                p[correct] -= 1;
                for (int64_t j = 0; j < o; j++) z[j] = p[j] / divisor;
            } else if (block.loss == SIGMOID_LOSS) {
                for (int64_t j = 0; j < o; j++) {
                    const Real small = std::exp(-std::fabs(z[j]));
                    loss += (z[j] < 0 ? 0 : z[j]) - z[j] * y[j] + std::log1p(small);
                    z[j] = ((z[j] < 0 ? small : 1) / (1 + small) - y[j]) / divisor;
                }
            } else {
                for (int64_t j = 0; j < o; j++) {
                    const Real difference = z[j] - y[j];
                    loss += difference * difference;
                    z[j] = 2 * difference / divisor;
                }
            }
            total += loss;
        }
    return total;
}

// Replaces the tangents of a tile's outputs by their products with the Hessians of the losses.
template <class Real> void curve(const CommonTile<Real> &tile) {
    const Block &block = tile.block;
    const int64_t o = tile.sizes.o;
    const Real divisor = Real(block.divisor);
    Real *p = tile.scratch.output;
    for (int64_t s = 0; s < block.num_outputs; s++)
        for (int64_t i = 0; i < tile.m; i++) {
            Real *tangent = tile.value(s, i), mean = 0;
            const Real *z = static_cast<const Real *>(block.predictions) + tile.place(s, i) * o;
            if (block.loss == SOFTMAX_LOSS) {
                softmax(z, o, p);
                for (int64_t j = 0; j < o; j++) mean += p[j] * tangent[j];
                for (int64_t j = 0; j < o; j++) tangent[j] = p[j] * (tangent[j] - mean) / divisor;
            } else if (block.loss == SIGMOID_LOSS) {
                for (int64_t j = 0; j < o; j++) {
                    const Real small = std::exp(-std::fabs(z[j])), whole = 1 + small;
                    tangent[j] *= small / (whole * whole) / divisor;
                }
            } else {
                for (int64_t j = 0; j < o; j++) tangent[j] = 2 * tangent[j] / divisor;
            }
        }
}

// Runs a sweep of a tile, made of its parts.
template <class Tile, class Forward, class Tangents, class Backward>
void run_parts(const Tile &tile, Sweep sweep, Forward forward, Tangents tangents, Backward backward) {
    const bool is_traced = tile.first < tile.block.traced;
    if ((sweep == FORWARD && is_traced) || sweep == GRADIENT) forward();
    if (sweep == TANGENTS || sweep == PRODUCT) tangents();
    if (sweep == GRADIENT) tile.tile_loss() = differentiate(tile);
    if (sweep == PRODUCT) curve(tile);
    if (sweep == BACKWARD || sweep == GRADIENT || sweep == PRODUCT) backward();
    if (sweep == STATE_GRADIENTS && is_traced) backward();
}

}  // namespace
