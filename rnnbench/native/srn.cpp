// Sweeps of the simple recurrent net through time, for one block of sequences, on a CPU.
//
//     h_t = f(W_hh h_{t-1} + W_ih x_t + b),  t = 1 .. T;   z = W_out h + b_out at the output steps
//
// The torch reference is rnnbench/models/step_sweeps.py; the equations beside each sweep are written there too. Tiles
// and letters: tiles.h.

#include "srn_hessian.h"

namespace {

template <class Real> struct Scratch : CommonScratch<Real> {
    Real *step, *direction_step, *recurrent, *recurrent_change, *injection_change, *states, *changes;

    Scratch(const Block &block, void *memory) : CommonScratch<Real>(block, memory) {
        const Sizes<Real> sizes(block);
        Arena &arena = this->arena;
        step = arena.take<Real>(Matrix<Real>::size(sizes.c, sizes.n));
        direction_step = arena.take<Real>(Matrix<Real>::size(sizes.c, sizes.n));
        recurrent = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.n));
        recurrent_change = arena.take<Real>(Matrix<Real>::size(sizes.n, sizes.n));
        injection_change = arena.take<Real>(Matrix<Real>::size(sizes.o, sizes.n));
        states = arena.take<Real>((sizes.steps_at_once + 1) * block.tile * sizes.state);
        changes = arena.take<Real>((sizes.steps_at_once + 1) * block.tile * sizes.state);
    }
};

template <class Real> struct Tile : CommonTile<Real> {
    typedef CommonTile<Real> Common;
    using Common::block, Common::sizes, Common::replica, Common::first, Common::m, Common::number, Common::theta;
    using Common::row, Common::value, Common::list_outputs, Common::for_outputs, Common::write_inputs;
    using Common::read_out, Common::has_ended, Common::partial, Common::adds_partials, Common::tangents;
    Scratch<Real> &scratch;

    Tile(const Block &block, Scratch<Real> &scratch, int64_t replica, int64_t number)
        : Common(block, scratch, replica, number), scratch(scratch) {}

    Real *tangent(int64_t t, int64_t i) const {
        return tangents ? tangents + (t * m + i) * sizes.state : state(t % 2, i);
    }
    Real *state(int64_t slot, int64_t i) const { return scratch.states + (slot * m + i) * sizes.state; }

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

    // ------------------------------------------------------------ forward

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
            read_out(t, output_bias(theta), readout, [&](int64_t i) { return row(t + 1, i); });
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
            read_out(
                t, output_bias(direction), readout, [&](int64_t i) { return tangent(t + 1, i); }, &readout_change);
        }
    }

    // ------------------------------------------------------------ backward

    static int64_t partial_size(const Block &block) {
        const Sizes<Real> sizes(block);
        return (sizes.n + sizes.o + 2) * sizes.row;
    }

    // dL/da_t = f'(a_t) (W_hh^T dL/da_{t+1} + W_out^T dL/dz at the output steps) [+ structural damping], last step
    // first. Its outer products with the operands of the steps are summed in the tile's partial sums:
    // n rows for [W_hh, W_ih, b], o rows for [W_out, -, b_out], one row for the sum of dL/da_1, and for a Hessian
    // product one more.
    template <int F> void backward() const {
        const int64_t n = sizes.n, o = sizes.o, at_once = sizes.steps_at_once;
        const bool traces = block.state_gradients != nullptr;
        Matrix<Real> recurrent(scratch.recurrent, n, n), injection(scratch.injection, o, n);
        recurrent.fill(0, n, theta, n, 1);
        injection.fill(0, o, output_weights(theta), n, 1);
        const Real weight = block.structural ? static_cast<const Real *>(block.structural)[replica] : Real(0);
        int64_t last = list_outputs();
        if (block.structural) last = block.steps - 1;
        Real *sums = traces ? nullptr : partial(number, partial_size(block)), *output_sums = sums + n * sizes.row;
        if (!traces) memset(sums, 0, partial_size(block) * sizeof(Real));

        int64_t found = 0;
        const auto add_output_products = [&] {
            if (!traces)
                add_outer_products(scratch.output_left, scratch.output_right, found, o, sizes.c, output_sums,
                                   sizes.row);
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
                        auto gradient = pull<P, F>(P::load(place + v), P::load(h + v));
                        if (change) gradient += weight * P::load(change + v);
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
        if (adds_partials(partial_size(block))) assemble();
    }

    void trace(int64_t t, int64_t slot) const {
        Real *to = static_cast<Real *>(block.state_gradients);
        for (int64_t i = 0; i < m && first + i < block.traced; i++)
            memcpy(to + ((t * block.replicas + replica) * block.traced + first + i) * sizes.n, state(slot, i),
                   sizes.n * sizeof(Real));
    }

    // Writes the gradient, or the Hessian product with a direction, in the layout of theta, from the sum of the tiles'
    // partial sums.
    void assemble(const Real *direction = nullptr) const {
        const int64_t n = sizes.n, d = sizes.d, o = sizes.o;
        const Real *total = partial(0, partial_size(block));
        Real *to = static_cast<Real *>(block.gradient) + replica * (n * (n + d + 2) + o * (n + 1));
        for (int64_t i = 0; i < n; i++, to += n) memcpy(to, total + i * sizes.row, n * sizeof(Real));
        for (int64_t i = 0; i < n; i++, to += d) memcpy(to, total + i * sizes.row + n, d * sizeof(Real));
        for (int64_t i = 0; i < n; i++) *to++ = total[i * sizes.row + n + d];
        const Real *first_sum = total + (n + o) * sizes.row;
        memset(to, 0, n * sizeof(Real));
        for (int64_t i = 0; i < n; i++)  // W_hh^T dL/da_1
            for (int64_t k = 0; k < n; k++) to[k] += first_sum[i] * theta[i * n + k];
        for (int64_t i = 0; i < n && direction; i++)  // + dW_hh^T dL/da_1
            for (int64_t k = 0; k < n; k++) to[k] += first_sum[sizes.row + i] * direction[i * n + k];
        to += n;
        const Real *output_sums = total + n * sizes.row;
        for (int64_t i = 0; i < o; i++, to += n) memcpy(to, output_sums + i * sizes.row, n * sizeof(Real));
        for (int64_t i = 0; i < o; i++) *to++ = output_sums[i * sizes.row + n + d];
    }

    // ------------------------------------------------------------

    template <int F> void run_as(Sweep sweep) const {
        if (sweep == HESSIAN_BACKWARD) return hessian_backward<Real, F>(*this);
        run_parts(*this, sweep, [&] { forward<F>(); }, [&] { tangents_sweep<F>(); }, [&] { backward<F>(); });
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

constexpr int64_t NUM_SAVED = 0;

}  // namespace

#include "exports.h"
