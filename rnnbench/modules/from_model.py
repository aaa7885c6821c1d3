"""A model with one replica's parameters as a torch.nn.Module.

Letters: B sequences, T time steps, n hidden units, d inputs, o outputs.
"""

import torch
from torch import Tensor

from rnnbench.models.base import Model, Parameters
from rnnbench.models.torch_layout import arguments_of, state_dict_of
from rnnbench.modules.recurrent_net import RecurrentNet


class StepNet(torch.nn.Module):
    """A net of any model that implements `step`, which runs in a loop over time.

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

    def forward(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> outputs at every step, (B, T, o)."""
        outputs = self.model.readout(self._one_replica(), self.hidden_states(inputs).unsqueeze(0))
        return outputs.squeeze(0)

    def hidden_states(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> hidden states h_1 .. h_T, (B, T, n)."""
        parameters, hidden = self._one_replica(), []
        state = self.model.initial_state(parameters, len(inputs))
        for step in inputs.unbind(1):
            state = self.model.step(parameters, state, step.unsqueeze(0))
            hidden.append(state[0].squeeze(0))
        return torch.stack(hidden, 1)

    def _one_replica(self) -> dict[str, Tensor]:
        return {name: self.weights[key].unsqueeze(0) for name, key in self._keys.items()}


def module_of(model: Model, parameters: Parameters) -> RecurrentNet | StepNet:
    """A model with one replica's parameters as a module: sequences (B, T, d) -> outputs at every step, (B, T, o).

    Args:
        model: The model.
        parameters: Parameters of one replica by name, in the shapes of the model's layout; copied.

    Returns:
        A `RecurrentNet` for a packaged model: it needs nothing but torch. Otherwise a `StepNet`.

    Raises:
        ValueError: The model is not a packaged one, and does not implement `step`.
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
