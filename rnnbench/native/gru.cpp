// The gated recurrent unit: sweeps of gated.h with the cell of rnnbench/models/gru.py.
//
//     [a_r, a_z] = W_h h_{t-1} + W_i x_t + b of these gates,  q = W_hn h_{t-1} + b_hn,  a = W_in x_t + b_n
//     r = sigmoid(a_r),  z = sigmoid(a_z),  g = tanh(a + r q),  h_t = g + z (h_{t-1} - g)
//
// The blocks are a_r, a_z, q and, beside the recurrent ones, a.

#include "gated.h"

namespace {

struct Gru {  // the constants are explained in lstm.cpp
    static constexpr int64_t WEIGHTS = 3, BIASES = 4, RECURRENT = 3, SHARED = 2, SEPARATE = 1, PARTS = 1;
    static constexpr bool CARRIES = true;
    enum Saved { RESET, UPDATE, RECURRENT_PART, CANDIDATE, SAVED };

    template <class P> struct Gates {
        typename P::Vector before, r, z, q, g;
        Gates(const Step<typename P::Real> &at, int64_t v)
            : before(P::load(at.h_before + v)), r(P::load(at.saved + RESET * at.padding + v)),
              z(P::load(at.saved + UPDATE * at.padding + v)), q(P::load(at.saved + RECURRENT_PART * at.padding + v)),
              g(P::load(at.saved + CANDIDATE * at.padding + v)) {}
    };

    // Returns h_t.
    template <class P> static typename P::Vector advance(const Step<typename P::Real> &at, int64_t v) {
        const auto r = activate<P, SIGMOID>(P::load(at.blocks + v));
        const auto z = activate<P, SIGMOID>(P::load(at.blocks + at.n + v));
        const auto q = P::load(at.blocks + 2 * at.n + v);
        const auto g = activate<P, TANH>(P::load(at.blocks + 3 * at.n + v) + r * q);
        P::store(at.saved + RESET * at.padding + v, r);
        P::store(at.saved + UPDATE * at.padding + v, z);
        P::store(at.saved + RECURRENT_PART * at.padding + v, q);
        P::store(at.saved + CANDIDATE * at.padding + v, g);
        return g + z * (P::load(at.h_before + v) - g);
    }

    // From dL/dh_t: writes the gradients of the blocks, and returns what reaches h_{t-1} beside them.
    template <class P>
    static typename P::Vector pull(const Step<typename P::Real> &at, typename P::Vector gradient, typename P::Real *,
                                   int64_t v) {
        const Gates<P> s(at, v);
        const auto of_candidate = gradient * (1 - s.z) * (1 - s.g * s.g);
        P::store(at.blocks + v, of_candidate * s.q * (s.r * (1 - s.r)));
        P::store(at.blocks + at.n + v, gradient * (s.before - s.g) * (s.z * (1 - s.z)));
        P::store(at.blocks + 2 * at.n + v, of_candidate * s.r);
        P::store(at.blocks + 3 * at.n + v, of_candidate);
        return gradient * s.z;
    }

    // From the tangents of the blocks and of h_{t-1}: returns that of h_t.
    template <class P>
    static typename P::Vector push(const Step<typename P::Real> &at, typename P::Vector before, typename P::Real *,
                                   int64_t v) {
        const Gates<P> s(at, v);
        const auto of_reset = P::load(at.blocks + v) * (s.r * (1 - s.r));
        const auto of_update = P::load(at.blocks + at.n + v) * (s.z * (1 - s.z));
        const auto of_sum =
            P::load(at.blocks + 3 * at.n + v) + of_reset * s.q + s.r * P::load(at.blocks + 2 * at.n + v);
        return (1 - s.z) * (1 - s.g * s.g) * of_sum + of_update * (s.before - s.g) + s.z * before;
    }
};

template <class Real> using Tile = GatedTile<Real, Gru>;
template <class Real> using Scratch = GatedScratch<Real, Gru>;
constexpr int64_t NUM_SAVED = Gru::SAVED;

}  // namespace

#include "exports.h"
