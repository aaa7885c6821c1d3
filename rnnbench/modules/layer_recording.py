"""torch.nn.RNN, LSTM and GRU run step by step, so that automatic differentiation reaches their states.

Letters: T steps, B sequences, n hidden units, d inputs, L layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from rnnbench.modules.recording import Recording, on_host
from rnnbench.modules.sequences import Sequences
from rnnbench.modules.torch_layers import Layer, layer_of
from rnnbench.modules.transitions import LayerStack, LayerSteps, Trajectory

NUM_COMPARED = 10
"""Number of steps whose outputs are compared with those of the layers' own forward. Later ones may differ: in a chaotic
net rounding errors grow."""

TOLERANCE = 1e-2
"""Largest accepted difference, relative to the largest output: TF32 on a GPU has errors of 1e-3."""

Parts = tuple[Tensor, ...]


@dataclass(frozen=True)
class LayerRun:
    """The run of one layer.

    Attributes:
        layer: The layer.
        inputs: Its inputs, (T, B, d).
        states: Parts of the states 0 .. T, (1, B, n) each, as the next step reads them.
        hidden: h_t of the steps 1 .. T, (1, B, n) each, as the layer above reads it too.
    """

    layer: Layer
    inputs: Tensor
    states: Sequence[Parts]
    hidden: Sequence[Tensor]


class LayerRecording(Recording):
    """Layers that are run step by step in place of their own forward, with the same results.

    Args:
        layers: The layers.
        name: Their name, for messages.
    """

    def __init__(self, layers: torch.nn.RNNBase, name: str) -> None:
        super().__init__(name)
        self.module = layers
        self.runs: list[LayerRun] = []
        self.lengths = torch.zeros(0, dtype=torch.int64)

    @override
    def attach(self) -> Sequence[RemovableHandle]:
        # In front of the owner's hooks, which then see what they would see of the layers' own forward.
        return [self.module.register_forward_hook(self._run, prepend=True, with_kwargs=True)]

    def _run(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], own: Any) -> Any:
        """Return the result of the layers' forward, computed step by step."""
        if self.runs:
            raise ValueError(
                f"module(inputs) calls {self.name} more than once: give it whole sequences in one call, or use "
                f"torch.nn.{type(self.module).__name__}Cell for single steps"
            )
        inputs, start = _arguments(*args, **kwargs)
        if isinstance(inputs, Tensor) and inputs.dim() != 3:
            axes = "sequences, steps" if self.module.batch_first else "steps, sequences"
            raise ValueError(
                f"{self.name} needs a batch, ({axes}, {self.module.input_size}), got the shape {tuple(inputs.shape)}"
            )
        sequences = Sequences.of(inputs, batch_first=self.module.batch_first)
        self.lengths = sequences.lengths
        if not len(self.lengths):
            raise ValueError(f"{self.name} needs at least one sequence, got a batch of none")
        given = sequences.padded.detach()
        for index in range(self.module.num_layers):
            layer = layer_of(self.module, index)
            run = self._run_layer(layer, _start(layer, start, index, given), given)
            self.runs.append(run)
            given = torch.cat(tuple(run.hidden))
        outputs = torch.cat([parts[0] for parts in self.runs[-1].states[1:]])
        self._compare(outputs, Sequences.of(own[0], batch_first=self.module.batch_first).padded)
        last = tuple(torch.cat(parts) for parts in zip(*(run.states[-1] for run in self.runs), strict=True))
        return sequences.in_original_layout(outputs), last if len(last) > 1 else last[0]

    def _run_layer(self, layer: Layer, state: Parts, inputs: Tensor) -> LayerRun:
        """Run a layer from its first state on its inputs, (T, B, d)."""
        parameters, shortest = layer.model.parameters(layer.theta), int(self.lengths.min())
        states, hidden = [state], []
        for step, given in enumerate(inputs.unsqueeze(1).unbind(0)):
            after = layer.model.step(parameters, state, given)
            if step >= shortest:
                goes_on = (step < self.lengths).to(inputs.device).unsqueeze(-1)
                after = tuple(torch.where(goes_on, new, old) for new, old in zip(after, state, strict=True))
            state = tuple(part.view_as(part) for part in after)
            states.append(state)
            hidden.append(after[0])
        return LayerRun(layer, inputs, states, hidden)

    def _compare(self, outputs: Tensor, own: Tensor) -> None:
        """Check that outputs of the first steps are those of the layers' own forward, (T, B, n) each."""
        count = min(NUM_COMPARED, int(self.lengths.min()))
        outputs, own = outputs[:count].detach(), own[:count].detach()
        difference, largest = (outputs - own).abs().max(), own.abs().max()
        if difference > TOLERANCE * largest.clamp(min=torch.finfo(largest.dtype).eps):
            raise ValueError(
                f"{self.name} does not compute what torch's layer of this kind computes: outputs of its first {count} "
                f"steps differ by {float(difference):.2g}"
            )

    @override
    def trajectory(self, loss: Tensor) -> Trajectory:
        if not self.runs:
            raise ValueError(f"module(inputs) does not call {self.name}; of a compiled module give the original")
        states = [_stack(run.states) for run in self.runs]
        self.check_states(torch.cat(states, -1))
        by_state, by_hidden = self._gradients(loss)
        layers = []
        for run, visited, gradient, of_hidden in zip(self.runs, states, by_state, by_hidden, strict=True):
            layer, size = run.layer.on_host(), run.layer.model.hidden_size
            returned = torch.cat([of_hidden, gradient[..., size:]], -1)
            layers.append(LayerSteps(layer.model, layer.theta, layer.names, visited, on_host(run.inputs), returned))
        stack = LayerStack(layers, self.lengths)
        return Trajectory(torch.cat(states, -1), torch.cat(by_state, -1), self.lengths, stack)

    def _gradients(self, loss: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return each layer's gradients with respect to its states, (T, B, s), and to `LayerRun.hidden`, (T, B, n)."""
        states = [part for run in self.runs for parts in run.states[1:] for part in parts]
        hidden = [each for run in self.runs for each in run.hidden]
        found = iter(self.gradients(loss, [*states, *hidden]))
        present = (torch.arange(len(self.runs[0].inputs)).unsqueeze(1) < self.lengths).unsqueeze(-1)
        by_state = [_stack([tuple(next(found) for _ in parts) for parts in run.states[1:]]) for run in self.runs]
        by_hidden = [_stack([(next(found),) for _ in run.hidden]) for run in self.runs]
        return [each * present for each in by_state], [each * present for each in by_hidden]


def _arguments(input: Any, hx: Any = None) -> tuple[Any, Any]:  # torch's names
    return input, hx


def _start(layer: Layer, given: Any, index: int, inputs: Tensor) -> Parts:
    """Return the parts of a layer's first state, (1, B, n) each, from torch's hx, (L, B, n) each, or None."""
    if given is None:
        shape = 1, inputs.shape[1], layer.model.hidden_size
        parts = [layer.theta.new_zeros(shape) for _ in range(layer.model.num_state_parts)]
    else:
        given = given if isinstance(given, tuple | list) else [given]
        parts = [part[index : index + 1].detach().clone() for part in given]
    return tuple(part.requires_grad_() for part in parts)


def _stack(steps: Sequence[Parts]) -> Tensor:
    """Parts of each step, (1, B, n) each -> (steps, B, s), float64, on the CPU."""
    return on_host(torch.cat([torch.cat(parts, -1) for parts in steps]))
