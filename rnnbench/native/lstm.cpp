// The long short-term memory: sweeps of gated.h with the cell of rnnbench/models/lstm.py.
//
//     a = W_hh h_{t-1} + W_ih x_t + b, in blocks i, f, g, o
//     c_t = sigmoid(a_f) c_{t-1} + sigmoid(a_i) tanh(a_g),  h_t = sigmoid(a_o) tanh(c_t)

#include "gated.h"

namespace {

struct Lstm {
    // Blocks of weight_hh and weight_ih, of biases; recurrent blocks, those of them that see x_t, and blocks beside
    // them that do not see h_{t-1}; parts of the state.
    static constexpr int64_t WEIGHTS = 4, BIASES = 4, RECURRENT = 4, SHARED = 4, SEPARATE = 0, PARTS = 2;
    static constexpr bool CARRIES = false;  // whether `pull` returns what reaches h_{t-1} beside the blocks
    enum Saved { MEMORY, INPUT, FORGET, CANDIDATE, OUTPUT, SQUASHED, SAVED };  // c_t first; SQUASHED: tanh(c_t)

    template <class P> struct Gates {
        typename P::Vector before, i, f, g, o, squashed;
        Gates(const Step<typename P::Real> &at, int64_t v)
            : before(P::load(at.before + MEMORY * at.padding + v)), i(P::load(at.saved + INPUT * at.padding + v)),
              f(P::load(at.saved + FORGET * at.padding + v)), g(P::load(at.saved + CANDIDATE * at.padding + v)),
              o(P::load(at.saved + OUTPUT * at.padding + v)), squashed(P::load(at.saved + SQUASHED * at.padding + v)) {}
    };

    // Returns h_t.
    template <class P> static typename P::Vector advance(const Step<typename P::Real> &at, int64_t v) {
        const auto i = activate<P, SIGMOID>(P::load(at.blocks + v));
        const auto f = activate<P, SIGMOID>(P::load(at.blocks + at.n + v));
        const auto g = activate<P, TANH>(P::load(at.blocks + 2 * at.n + v));
        const auto o = activate<P, SIGMOID>(P::load(at.blocks + 3 * at.n + v));
        const auto memory = f * P::load(at.before + MEMORY * at.padding + v) + i * g;
        const auto squashed = activate<P, TANH>(memory);
        P::store(at.saved + MEMORY * at.padding + v, memory);
        P::store(at.saved + INPUT * at.padding + v, i);
        P::store(at.saved + FORGET * at.padding + v, f);
        P::store(at.saved + CANDIDATE * at.padding + v, g);
        P::store(at.saved + OUTPUT * at.padding + v, o);
        P::store(at.saved + SQUASHED * at.padding + v, squashed);
        return o * squashed;
    }

    // From dL/dh_t, and dL/dc_t but for its effect on h_t, in `memory`: writes dL/da_t, and dL/dc_{t-1} in its place.
    template <class P>
    static typename P::Vector pull(const Step<typename P::Real> &at, typename P::Vector gradient,
                                   typename P::Real *memory, int64_t v) {
        const Gates<P> s(at, v);
        const auto of_memory = P::load(memory + v) + gradient * s.o * (1 - s.squashed * s.squashed);
        P::store(at.blocks + v, of_memory * s.g * (s.i * (1 - s.i)));
        P::store(at.blocks + at.n + v, of_memory * s.before * (s.f * (1 - s.f)));
        P::store(at.blocks + 2 * at.n + v, of_memory * s.i * (1 - s.g * s.g));
        P::store(at.blocks + 3 * at.n + v, gradient * s.squashed * (s.o * (1 - s.o)));
        P::store(memory + v, of_memory * s.f);
        return gradient;
    }

    // From the tangents of a_t and, in `memory`, of c_{t-1}: returns that of h_t, and writes that of c_t in its place.
    template <class P>
    static typename P::Vector push(const Step<typename P::Real> &at, typename P::Vector, typename P::Real *memory,
                                   int64_t v) {
        const Gates<P> s(at, v);
        const auto of_memory = s.f * P::load(memory + v) + P::load(at.blocks + v) * s.g * (s.i * (1 - s.i)) +
                               P::load(at.blocks + at.n + v) * s.before * (s.f * (1 - s.f)) +
                               P::load(at.blocks + 2 * at.n + v) * s.i * (1 - s.g * s.g);
        P::store(memory + v, of_memory);
        return P::load(at.blocks + 3 * at.n + v) * s.squashed * (s.o * (1 - s.o)) +
               s.o * (1 - s.squashed * s.squashed) * of_memory;
    }
};

template <class Real> using Tile = GatedTile<Real, Lstm>;
template <class Real> using Scratch = GatedScratch<Real, Lstm>;
constexpr int64_t NUM_SAVED = Lstm::SAVED;

}  // namespace

#include "exports.h"
