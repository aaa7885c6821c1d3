"""The keys of the models. Fields as in `rnnbench.config.schema`."""

from dataclasses import dataclass

from rnnbench.config.declaration import choice
from rnnbench.config.option import option, other_default
from rnnbench.config.schema import Choice


@dataclass
class LayersConfig(Choice):
    """A net of one or more layers."""

    hidden_size: int = option(100, "number of hidden units n of each layer", low=1)
    num_layers: int = option(
        1, "number of layers; each reads the new hidden state of the layer below, as in torch.nn", low=1, high=100
    )


@choice("model", "rnn")
@dataclass
class RnnConfig(LayersConfig):
    """The simple recurrent net."""

    nonlinearity: str = option(
        "tanh", "nonlinearity of the hidden units", choices=("tanh", "relu", "linear", "sigmoid")
    )
    recurrence: str = option(
        "auto",
        "backend of the recurrence: native kernels (CPU), triton (GPU), torch, or auto: the kernels if they can run",
        choices=("auto", "torch", "native", "triton"),
    )


@choice("model", "latch")
@dataclass
class LatchNetConfig(Choice):
    """The simple recurrent net whose last inputs are noise that is added to the units without weights."""

    hidden_size: int = option(1, "number of hidden units n", low=1)
    nonlinearity: str = option("tanh", "nonlinearity of the hidden units", choices=("tanh", "linear"))


@dataclass
class GatedNetConfig(LayersConfig):
    """A gated net."""

    recurrence: str = option(
        "auto",
        "backend of the recurrence: native kernels (CPU), torch, fused (torch.nn's operation for gradients), or auto: "
        "the kernels if they can run",
        choices=("auto", "torch", "native", "fused"),
    )


@choice("model", "lstm")
@dataclass
class LstmConfig(GatedNetConfig):
    """The long short-term memory."""


@choice("model", "gru")
@dataclass
class GruConfig(GatedNetConfig):
    """The gated recurrent unit."""


@dataclass
class PlainLayersConfig(LayersConfig):
    """A net of one or more layers with a nonlinearity, and without kernels."""

    nonlinearity: str = option("tanh", "nonlinearity", choices=("tanh", "relu", "linear", "sigmoid"))


@choice("model", "orthogonal_rnn")
@dataclass
class OrthogonalRnnConfig(PlainLayersConfig):
    """The simple recurrent net with an orthogonal recurrent matrix."""


@choice("model", "lru")
@dataclass
class LruConfig(PlainLayersConfig):
    """The linear recurrent unit."""

    nonlinearity: str = other_default(
        PlainLayersConfig, "nonlinearity", "tanh", "nonlinearity of what enters the units"
    )
