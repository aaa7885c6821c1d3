"""The gated nets by torch's own modules and cells, fed with parameters of this package, for autograd in float64."""

import torch
from torch.func import functional_call

from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm

MODELS = {"lstm": Lstm, "gru": Gru}
MODULES = {Lstm: torch.nn.LSTM, Gru: torch.nn.GRU}
CELLS = {Lstm: torch.lstm_cell, Gru: torch.gru_cell}


def torch_weights(model, parameters):
    """weight_ih, weight_hh, bias_ih, bias_hh of torch from one replica's parameters."""
    bias = parameters["bias"]
    recurrent_bias = torch.zeros_like(bias)
    if isinstance(model, Gru):
        recurrent_bias = torch.cat([recurrent_bias[: 2 * model.hidden_size], parameters["bias_hn"]])
    return parameters["weight_ih"], parameters["weight_hh"], bias, recurrent_bias


def run(model, theta, batch):
    """Outputs (S, R, B, o) and hidden states (T, R, B, n) by torch.nn, one replica after the other."""
    net = MODULES[type(model)](2, model.hidden_size, dtype=torch.float64)
    num_steps, _, num_sequences, _ = batch.inputs.shape
    all_outputs, all_hidden = [], []
    for r, row in enumerate(theta):
        p = {name: view[0] for name, view in model.parameters(row.unsqueeze(0)).items()}
        weights = dict(zip([name for name, _ in net.named_parameters()], torch_weights(model, p), strict=True))
        initial = p["initial_state"].view(-1, 1, 1, model.hidden_size).expand(-1, 1, num_sequences, -1).contiguous()
        state = (initial[0], initial[1]) if len(initial) == 2 else initial[0]
        hidden, _ = functional_call(net, weights, (batch.inputs[:, r], state))
        outputs = hidden @ p["weight_out"].T + p["bias_out"]
        if batch.output_steps is not None:
            steps = batch.output_steps[:, r]
            outputs = torch.stack([outputs[steps[:, k], k] for k in range(num_sequences)], 1)
        all_outputs.append(outputs)
        all_hidden.append(hidden)
    assert hidden.shape[0] == num_steps
    return torch.stack(all_outputs, 1), torch.stack(all_hidden, 1)


def torch_step(model, theta, state, inputs):
    """One step of one sequence of replica 0 by torch's cell: states and inputs (s,) and (d,) in, state (s,) out."""
    p = {name: view[0] for name, view in model.parameters(theta).items()}
    parts = tuple(part.unsqueeze(0) for part in state.view(-1, model.hidden_size))
    after = CELLS[type(model)](inputs.unsqueeze(0), parts if len(parts) > 1 else parts[0], *torch_weights(model, p))
    return torch.cat(after if len(parts) > 1 else (after,), -1).squeeze(0)


def dense_gauss_newton(model, theta, batch, loss, structural_damping):
    """G + weight * S of each replica, (R, P, P), from explicit Jacobians; S of the hidden states in their own steps."""
    matrices = []
    for r in range(theta.shape[0]):
        one, row = batch.replicas(slice(r, r + 1)), theta[r : r + 1]
        outputs_jacobian, hidden_jacobian = torch.autograd.functional.jacobian(lambda x, b=one: run(model, x, b), row)
        outputs_jacobian, hidden_jacobian = outputs_jacobian[:, 0, ..., 0, :], hidden_jacobian[:, 0, ..., 0, :]
        outputs = run(model, row, one)[0][:, 0]  # (S, B, o)
        if loss == "squared_error":
            hessian = 2 * torch.eye(outputs.shape[-1], dtype=torch.float64).expand(*outputs.shape, -1)
        elif loss == "sigmoid_cross_entropy":
            hessian = torch.diag_embed(1 / (2 + outputs.exp() + (-outputs).exp()))
        else:
            p = outputs.softmax(-1)
            hessian = torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)
        total = torch.einsum("sboi,sbop,sbpj->ij", outputs_jacobian, hessian, outputs_jacobian)
        own = (torch.arange(hidden_jacobian.shape[0]).view(-1, 1) < one.lengths).double()  # (T, B)
        damped = torch.einsum("tbui,tb,tbuj->ij", hidden_jacobian, own, hidden_jacobian)
        num_sequences = outputs.shape[1]
        matrices.append(total / (len(outputs) * num_sequences) + structural_damping[r] * damped / num_sequences)
    return torch.stack(matrices)
