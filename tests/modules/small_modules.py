"""Small modules with batches of every kind that Hessian-free takes, in float64."""

import itertools

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

F64 = torch.float64


class LastStep(torch.nn.Module):
    """A recurrent net of torch with a readout of its last step; inputs (T, B, d)."""

    def __init__(self, kind, input_size, hidden_size, output_size, *, returns_states=False):
        super().__init__()
        self.rnn = kind(input_size, hidden_size)
        self.readout = torch.nn.Linear(hidden_size, output_size)
        self.returns_states = returns_states

    def forward(self, inputs):
        states, _ = self.rnn(inputs)
        outputs = self.readout(states[-1])
        return (outputs, states) if self.returns_states else outputs


class EveryStep(LastStep):
    """Outputs (B, C, T) at every step."""

    def forward(self, inputs):
        return self.readout(self.rnn(inputs)[0]).permute(1, 2, 0)


class Tied(torch.nn.Module):
    """An autoencoder whose decoder has the encoder's weight, with a frozen layer between and a buffer."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight
        self.frozen = torch.nn.Linear(3, 3).requires_grad_(False)
        self.register_buffer("scale", torch.tensor(1.5))

    def forward(self, inputs):
        return self.scale * self.decoder(torch.tanh(self.frozen(torch.tanh(self.encoder(inputs)))))


class Nested(torch.nn.Module):
    """Nested inputs and outputs, with an integer among the outputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)

    def forward(self, inputs):
        hidden = torch.tanh(self.left(inputs["x"][0]))
        return {"hidden": hidden, "count": 2, "constant": inputs["x"][0], "out": [hidden * self.right(inputs["x"][1])]}


def nested_loss(outputs, targets):
    return (outputs["count"] * outputs["out"][0] - targets).square().mean() + outputs["hidden"].cosh().mean()


def pseudo_huber(outputs, targets):
    return (1 + (outputs - targets).square()).sqrt().mean()


def mlp(*sizes, activation=torch.nn.Tanh):
    layers = [part for pair in itertools.pairwise(sizes) for part in (torch.nn.Linear(*pair), activation())]
    return torch.nn.Sequential(*layers[:-1])


def conv():
    flat = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Softplus(), torch.nn.Flatten())
    return torch.nn.Sequential(*flat, torch.nn.Linear(8, 3))


def normal(*shape):
    return torch.randn(*shape, dtype=F64)


def classes(count, *shape):
    return torch.randint(0, count, shape)


def with_ignored(targets):
    targets[..., 0] = -100
    return targets


CASES = {
    "mlp, squared error": lambda: (mlp(3, 4, 2), torch.nn.MSELoss(), (normal(5, 3), normal(5, 2))),
    "mlp, functional": lambda: (mlp(3, 4, 3), torch.nn.functional.cross_entropy, (normal(5, 3), classes(3, 5))),
    "mlp, binary": lambda: (
        mlp(3, 4, 2),
        torch.nn.BCEWithLogitsLoss(),
        (normal(5, 3), classes(2, 5, 2).to(F64)),
    ),
    "mlp, weighted binary": lambda: (
        mlp(3, 4, 2),
        torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 0.5], dtype=F64)),
        (normal(5, 3), classes(2, 5, 2).to(F64)),
    ),
    "mlp, weights and smoothing": lambda: (
        mlp(3, 4, 3),
        torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5], dtype=F64), label_smoothing=0.1),
        (normal(5, 3), classes(3, 5)),
    ),
    "mlp, class probabilities": lambda: (
        mlp(3, 4, 3),
        torch.nn.CrossEntropyLoss(),
        (normal(5, 3), normal(5, 3).softmax(1)),
    ),
    "mlp, own loss": lambda: (mlp(3, 4, 2), pseudo_huber, (normal(5, 3), normal(5, 2))),
    "rnn": lambda: (LastStep(torch.nn.RNN, 2, 3, 1), torch.nn.MSELoss(), (normal(4, 5, 2), normal(5, 1))),
    "gru": lambda: (LastStep(torch.nn.GRU, 2, 3, 3), torch.nn.CrossEntropyLoss(), (normal(4, 5, 2), classes(3, 5))),
    "lstm, every step": lambda: (
        EveryStep(torch.nn.LSTM, 2, 3, 3),
        torch.nn.CrossEntropyLoss(),
        (normal(4, 5, 2), with_ignored(classes(3, 5, 4))),
    ),
    "convolution": lambda: (conv(), torch.nn.CrossEntropyLoss(), (normal(3, 1, 4, 4), classes(3, 3))),
    "tied": lambda: (Tied(), torch.nn.MSELoss(), (normal(5, 3), normal(5, 3))),
    "nested": lambda: (Nested(), nested_loss, ({"x": [normal(5, 2), normal(5, 2)]}, normal(5, 3))),
}
"""Name -> module, loss and batch."""


def problem(seed=0):
    torch.manual_seed(seed)
    return mlp(3, 4, 2).double(), (normal(20, 3), normal(20, 2))


def parameters_of(module):
    return [each.detach().clone() for each in module.parameters()]


def same(first, second):
    return all(map(torch.equal, first, second))


def make(name, seed=0):
    torch.manual_seed(seed)
    module, loss, batch = CASES[name]()
    return module.double(), loss, batch


def trained(module):
    """The trainable parameters, a shared one once."""
    return {name: each for name, each in module.named_parameters() if each.requires_grad}


def dense_gauss_newton(module, loss, batch):
    """J^T H J from autograd's whole Jacobian and Hessian, (P, P)."""
    inputs, targets = batch
    parameters, point = trained(module), {}

    def outputs(*values):
        returned = torch.func.functional_call(module, dict(zip(parameters, values, strict=True)), (inputs,))
        point["returned"] = returned
        return torch.cat([leaf.reshape(-1) for leaf in tensors(returned)])

    values = [each.detach() for each in parameters.values()]
    jacobians = torch.autograd.functional.jacobian(outputs, tuple(values))
    jacobian = torch.cat([each.reshape(len(each), -1) for each in jacobians], 1)
    returned = point["returned"]

    def of_outputs(flat):
        pieces = iter(flat.split([leaf.numel() for leaf in tensors(returned)]))
        return loss(tree_map_only(is_floating, lambda leaf: next(pieces).view_as(leaf), returned), targets)

    flat = torch.cat([leaf.detach().reshape(-1) for leaf in tensors(returned)])
    return jacobian.T @ torch.autograd.functional.hessian(of_outputs, flat) @ jacobian


def is_floating(leaf):
    return isinstance(leaf, torch.Tensor) and leaf.is_floating_point()


def tensors(returned):
    return [leaf for leaf in tree_leaves(returned) if is_floating(leaf)]
