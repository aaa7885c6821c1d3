"""The simple recurrent net written once more, as plainly as possible, for autograd in float64."""

import torch

from rnnbench.losses import LOSSES

ACTIVATIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "linear": lambda x: x}
# f'(a) by another formula than the package's, which writes it as a function of the state.
SLOPES = {
    "tanh": lambda a: torch.cosh(a) ** -2,
    "sigmoid": lambda a: torch.exp(-a) / (1 + torch.exp(-a)) ** 2,
    "relu": lambda a: (a > 0).double(),
    "linear": torch.ones_like,
}


def run(model, nonlinearity, theta, batch):
    """Outputs (S, R, B, o), pre-activations and states (T, R, B, n), one sequence after the other."""
    p = model.parameters(theta)
    all_outputs, all_pre, all_states = [], [], []
    num_steps, num_replicas, num_sequences, _ = batch.inputs.shape
    for r in range(num_replicas):
        for k in range(num_sequences):
            h, pre, states = p["initial_state"][r], [], []
            for t in range(num_steps):
                pre.append(p["weight_hh"][r] @ h + p["weight_ih"][r] @ batch.inputs[t, r, k] + p["bias"][r])
                h = ACTIVATIONS[nonlinearity](pre[-1])
                states.append(h)
            steps = range(num_steps) if batch.output_steps is None else batch.output_steps[:, r, k].tolist()
            all_outputs.append(torch.stack([p["weight_out"][r] @ states[t] + p["bias_out"][r] for t in steps]))
            all_pre.append(torch.stack(pre))
            all_states.append(torch.stack(states))

    def lay_out(sequences):
        return torch.stack(sequences).unflatten(0, (num_replicas, num_sequences)).permute(2, 0, 1, 3)

    return lay_out(all_outputs), lay_out(all_pre), lay_out(all_states)


def dense_gauss_newton(model, nonlinearity, theta, batch, loss, structural_damping):
    """G + weight * S of each replica as a dense matrix (R, P, P): explicit Jacobians, autograd's output Hessians."""
    matrices = []
    for r in range(theta.shape[0]):
        one = batch.replicas(slice(r, r + 1))
        row = theta[r : r + 1]
        outputs_jacobian = torch.autograd.functional.jacobian(lambda x, b=one: run(model, nonlinearity, x, b)[0], row)
        pre_jacobian = torch.autograd.functional.jacobian(lambda x, b=one: run(model, nonlinearity, x, b)[1], row)
        outputs, pre, _ = run(model, nonlinearity, row, one)
        total = torch.zeros(row.shape[1], row.shape[1], dtype=torch.float64)
        for s in range(outputs.shape[0]):
            for k in range(outputs.shape[2]):
                target = one.targets[s : s + 1, :, k : k + 1]
                hessian = torch.autograd.functional.hessian(
                    lambda z, t=target: LOSSES[loss].values(z.view(1, 1, 1, -1), t).sum(), outputs[s, 0, k]
                )
                jacobian = outputs_jacobian[s, 0, k, :, 0]
                total += jacobian.T @ hessian @ jacobian / (outputs.shape[0] * outputs.shape[2])
        for t in range(pre.shape[0]):
            for k in range(pre.shape[2]):
                if t < one.lengths[0, k]:
                    jacobian = pre_jacobian[t, 0, k, :, 0]
                    slope = SLOPES[nonlinearity](pre[t, 0, k])
                    total += structural_damping[r] * jacobian.T @ (slope[:, None] * jacobian) / pre.shape[2]
        matrices.append(total)
    return torch.stack(matrices)
