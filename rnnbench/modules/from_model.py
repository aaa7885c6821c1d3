"""A model with one replica's parameters as a torch.nn.Module.

Letters: B sequences, T time steps, n hidden units, d inputs, o outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnbench.models.base import Model, Parameters
from rnnbench.models.torch_layout import arguments_of, state_dict_of
from rnnbench.modules.recurrent_net import RecurrentNet


class StepCell(torch.nn.Module):
    """One step of a model that implements `step`.

    Args:
        model: The model.
        parameters: Parameters of one replica by name, in the shapes of the model's layout; copied.

    Attributes:
        weights: The parameters by name; parameter_0, parameter_1, ... where torch allows no parameter of that name.
    """

    def __init__(self, model: Model, parameters: Parameters) -> None:
        super().__init__()
        self.model = model
        taken = torch.nn.ParameterDict()  # its own attributes, such as update, cannot be names of its parameters
        self._keys = {
            name: f"parameter_{number}" if hasattr(taken, name) or "." in name else name
            for number, name in enumerate(model.layout)
        }
        self.weights = torch.nn.ParameterDict(
            {key: parameters[name].detach().clone() for name, key in self._keys.items()}
        )

    def forward(self, inputs: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Inputs (B, d) and the parts of the state, (B, n) each -> the parts of the next state."""
        parts = tuple(part.unsqueeze(0) for part in state)
        effective = self.model.effective_parameters(self.one_replica())
        return tuple(part.squeeze(0) for part in self.model.step(effective, parts, inputs.unsqueeze(0)))

    def one_replica(self) -> dict[str, Tensor]:
        """The parameters as the model takes them, (1, ...) each."""
        return {name: self.weights[key].unsqueeze(0) for name, key in self._keys.items()}


class StepNet(torch.nn.Module):
    """A net of any model that implements `step`, which runs in a loop over time.

    Args:
        model: The model.
        parameters: Parameters of one replica by name, in the shapes of the model's layout; copied.

    Attributes:
        cell: The step, with all parameters of the net.
    """

    def __init__(self, model: Model, parameters: Parameters) -> None:
        super().__init__()
        self.cell = StepCell(model, parameters)

    def forward(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> outputs at every step, (B, T, o)."""
        hidden = self.hidden_states(inputs).unsqueeze(0)
        return self.cell.model.readout(self.cell.one_replica(), hidden).squeeze(0)

    def hidden_states(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> hidden states h_1 .. h_T, (B, T, n)."""
        start = self.cell.model.initial_state(self.cell.one_replica(), len(inputs))
        state, hidden = tuple(part.squeeze(0) for part in start), []
        for step in inputs.unbind(1):
            state = self.cell(step, state)
            hidden.append(state[0])
        return torch.stack(hidden, 1)


def module_of(model: Model, parameters: Parameters) -> RecurrentNet | StepNet:
    """A model with one replica's parameters as a module: sequences (B, T, d) -> outputs at every step, (B, T, o).

    Args:
        model: The model.
        parameters: Parameters of one replica by name, in the shapes of the model's layout; copied.

    Returns:
        A `RecurrentNet` if the model has one: it needs nothing but torch. Otherwise a `StepNet`.

    Raises:
        ValueError: The model has no `RecurrentNet`, and does not implement `step`.
    """
    arguments = arguments_of(model)
    if arguments is None:
        if type(model).step is Model.step:
            raise ValueError(f"{type(model).__name__} does not implement step, so its net cannot be made a module")
        return StepNet(model, parameters)
    state_dict = state_dict_of(model, parameters)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # torch draws weights first, which are replaced here
        net = RecurrentNet(**arguments).to(state_dict["readout.weight"].dtype)
    net.load_state_dict(state_dict)
    return net
