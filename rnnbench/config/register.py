"""Puts the schema where the YAML files find it: `/schema/GROUP/NAME@_here_` in a file's defaults list types it."""

from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from rnnbench.config import schema
from rnnbench.config.cadence import register_cadence
from rnnbench.config.gradient_probes import CurvatureProbe, GradientByLagProbe, GradientNoiseProbe
from rnnbench.config.hessian_free import Hf

CLOSED: dict[str, dict[str, type[Any]]] = {
    "task": {"temporal_order": schema.TemporalOrder, "memorization": schema.Memorization, "latch": schema.Latch},
    "model": {"rnn": schema.Rnn, "latch": schema.LatchNet, "lstm": schema.Lstm, "gru": schema.Gru},
    "init": {
        "sparse": schema.SparseInit,
        "gaussian": schema.GaussianInit,
        "orthogonal": schema.OrthogonalInit,
        "identity": schema.IdentityInit,
    },
    "optim": {"hf": Hf, "sgd": schema.Sgd, "nag": schema.Nag, "adam": schema.Adam},
    "probe": {
        "gradient_norm": schema.Probe,
        "state_gradient": schema.StateGradientProbe,
        "state_jacobian": schema.StateJacobianProbe,
        "recurrent_weight": schema.Probe,
        "jacobian_normality": schema.StateJacobianProbe,
        "jacobian_push": schema.JacobianPushProbe,
        "jacobian_product": schema.TrajectoryProbe,
        "lyapunov": schema.TrajectoryProbe,
        "gradient_by_lag": GradientByLagProbe,
        "gradient_noise": GradientNoiseProbe,
        "alignment": schema.Probe,
        "curvature": CurvatureProbe,
    },
}
"""Group -> name -> the dataclass of one choice, which has these keys and no others."""

OPEN: dict[str, dict[str, type[Any]]] = {
    "task": {"task": schema.Task},
    "model": {"model": schema.Choice},
    "init": {"init": schema.Init},
    "optim": {"optimizer": schema.Optimizer, "first_order": schema.FirstOrder},
    "probe": {"probe": schema.Probe},
}
"""Group -> name -> the dataclass of what its choices share; a file that builds on it may have keys of its own."""

CLASSES: dict[str, type[Any]] = {
    node.__name__: node for groups in (OPEN, CLOSED) for nodes in groups.values() for node in nodes.values()
}
"""Each of these dataclasses by its own name."""


def register_schema() -> None:
    """Store every dataclass in Hydra's ConfigStore, and what they refer to; a second call changes nothing."""
    register_cadence()
    store = ConfigStore.instance()
    store.store(name="base_schema", node=schema.Config)
    for group, nodes in CLOSED.items():
        for name, node in nodes.items():
            store.store(group=f"schema/{group}", name=name, node=node)
    for group, nodes in OPEN.items():
        for name, node in nodes.items():
            store.store(group=f"schema/{group}", name=name, node=OmegaConf.structured(node, flags={"struct": False}))
