// Vectors of a processor, and the nonlinearities on them.

#pragma once

#include <stdint.h>

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

#define UNROLL _Pragma("GCC unroll 8")

namespace {

enum Nonlinearity { TANH, SIGMOID, RELU, LINEAR };

template <class Real> struct Numbers;
template <> struct Numbers<float> {
    typedef uint32_t Bits;
    static constexpr int mantissa = 23;
    static constexpr Bits one = 0x3f800000;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr float tanh_limit = 20.0f, exp_limit = 87.0f, epsilon = 1.1920929e-7f;
    // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, of least largest error: 1.6e-8 of exp(r) - 1
    static constexpr float series[] = {1.3946581e-3f, 8.3666593e-3f, 4.1666280e-2f, 1.6666542e-1f, 0.5f};
};
template <> struct Numbers<double> {
    typedef uint64_t Bits;
    static constexpr int mantissa = 52;
    static constexpr Bits one = 0x3ff0000000000000;
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    static constexpr double tanh_limit = 44.0, exp_limit = 708.0, epsilon = 2.220446049250313e-16;
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

// Calls what(pack, offset) for every vector of a row.
template <class Real, class What> inline void for_vectors(int64_t width, What what) {
    const bool half = ends_with_half<Real>(width);
    const int64_t whole = vectors<Real>(width) - half;
    for (int64_t v = 0; v < whole; v++) what(Whole<Real>(), v * LANES<Real>);
    if (half) what(Half<Real>(), whole * LANES<Real>);
}
template <class Real, class What> inline void for_vectors_backwards(int64_t width, What what) {
    const bool half = ends_with_half<Real>(width);
    const int64_t whole = vectors<Real>(width) - half;
    if (half) what(Half<Real>(), whole * LANES<Real>);
    for (int64_t v = whole - 1; v >= 0; v--) what(Whole<Real>(), v * LANES<Real>);
}

// ---------------------------------------------------------------- nonlinearities

// exp(y) = scale (1 + fraction) for |y| <= limit, beyond it exp(limit) or exp(-limit); NaN stays NaN.
template <class P>
inline void split_exponential(typename P::Vector y, typename P::Real limit, typename P::Vector &scale,
                              typename P::Vector &fraction) {
    typedef typename P::Vector Vector;
    typedef Numbers<typename P::Real> N;
    const Vector high = limit - Vector{}, low = -high;
    y = y > high ? high : y;
    y = y < low ? low : y;
    const Vector shifted = y * typename P::Real(1.44269504088896340736) + N::magic, power = shifted - N::magic;
    const Vector rest = (y - power * N::ln2_high) - power * N::ln2_low;
    Vector series = N::series[0] - Vector{};
    for (unsigned k = 1; k < sizeof N::series / sizeof N::series[0]; k++) series = series * rest + N::series[k];
    fraction = (rest * rest) * series + rest;
    const typename P::Bits bits = (reinterpret_cast<typename P::Bits>(shifted) << N::mantissa) + N::one;
    scale = reinterpret_cast<Vector>(bits);  // 2^power
}

template <class P> inline typename P::Vector exponential(typename P::Vector y, typename P::Real limit) {
    typename P::Vector scale, fraction;
    split_exponential<P>(y, limit, scale, fraction);
    return scale * fraction + scale;
}

// exp(y) - 1, to about a unit in the last place, near 0 too.
template <class P> inline typename P::Vector expm1(typename P::Vector y, typename P::Real limit) {
    typename P::Vector scale, fraction;
    split_exponential<P>(y, limit, scale, fraction);
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

}  // namespace
