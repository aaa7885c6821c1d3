"""The keys of the Hessian-free optimizer.

"Released code of Martens and Sutskever (2011)" means Sutskever's HF-RNN; "of Martens (2010)" means his MATLAB code.
Fields as in `rnnbench.config.schema`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench.config.declaration import choice
from rnnbench.config.errors import ConfigError
from rnnbench.config.option import option, other_default
from rnnbench.config.schema import Cadence, OptimizerConfig


@choice("optim", "hf")
@dataclass
class HfConfig(OptimizerConfig):
    """Hessian-free."""

    cadence: Cadence = other_default(  # noqa: RUF009 - a field
        OptimizerConfig, "cadence", Cadence(updates=200, log_every=1, evaluate_every=1, checkpoint_every=5)
    )
    gradient_batch_size: int = option(1000, "sequences for the gradient", low=1)
    curvature_batch_size: int = option(
        125,
        "sequences for Gauss-Newton products and the reduction ratio, the first of the gradient batch; backtracking "
        "and the line search have as many fresh ones",
        low=1,
    )
    weight_decay: float = option(
        0.0,
        "L2 weight decay: this times |theta|^2 / 2 is added to the loss in gradient, products and line search; "
        "released code of Martens and Sutskever (2011): 2e-5",
        low=0,
        per_replica=True,
    )
    damping: float = option(0.1, "initial damping lambda", above=0, high=1e8, per_replica=True)
    reduction_ratio: str = option(
        "damped",
        "predicted reduction with damping (released code of Martens and Sutskever 2011) or undamped "
        "(released code of Martens 2010)",
        choices=("damped", "undamped"),
    )
    rejected_damping: str = option(
        "ratio",
        "damping after the line search rejects a step - ratio: by the reduction ratio; increase: always grows "
        "(released codes)",
        choices=("ratio", "increase"),
    )
    structural_damping: float = option(
        0.1,
        "weight mu of the damping of hidden states, times the damping; 0: none. Released code"
        " of Martens and Sutskever (2011): 0.03 times 1/4, hence 0.0075 here",
        low=0,
        per_replica=True,
    )
    structural_normalization: str = option(
        "batch",
        "batch: sum over the steps, mean over the sequences; batch_time: mean over both (theano-hf); loss: "
        "normalized by the number of outputs, as the loss (Martens and Sutskever 2011)",
        choices=("batch", "batch_time", "loss"),
    )
    max_cg_iterations: int = option(
        20, "largest number of CG iterations per update while the damping is at least 3e-3", low=1
    )
    max_cg_factor: int = option(
        3,
        "largest factor of the CG iterations over max_cg_iterations, which grow with 1 / sqrt(damping) below a damping "
        "of 3e-3 (beyond the papers); 1: none",
        low=1,
    )
    preconditioner: str = option(
        "none",
        "none, or diagonal: (empirical Fisher of the curvature batch + damping)^0.75 (Martens 2010, section 4.7)",
        choices=("none", "diagonal"),
    )
    warm_start_decay: float = option(
        0.925,
        "CG starts at this times its last solution; released codes: 0.95",
        low=0,
        high=1,
        per_replica=True,
    )
    backtracking: str = option(
        "walk_back",
        "none: take the last CG iterate; walk_back: go back from it, at gaps that grow by 1.3, while this lowers the "
        "loss (Martens 2010, section 4.6); best: take the best of every tenth iterate (released code of Martens and "
        "Sutskever 2011)",
        choices=("none", "walk_back", "best"),
    )
    backtracking_batch: str = option(
        "fresh",
        "batch on which backtracking compares iterates - fresh: its own, as large as that of the curvature",
        choices=("fresh", "curvature", "gradient"),
    )
    line_search_batch: str = option(
        "both",
        "sequences on which the line search evaluates the loss - fresh: its own batch; both: its own and those of the "
        "curvature (beyond the papers)",
        choices=("both", "fresh", "curvature", "gradient"),
    )
    line_search_sufficient_decrease: float = option(
        0.0,
        "required decrease, as a fraction of the decrease that the gradient predicts - 0: any (Martens and Sutskever"
        " 2011); 1e-2: Armijo's rule (released code of Martens 2010)",
        low=0,
        below=1,
        per_replica=True,
    )


REMOVED: Mapping[str, Any] = {
    "batch_doubling_every": 0,
    "curvature_source": "subset",
    "damping_increase": 1.5,
    "damping_decrease": 0.6666666666666666,
    "low_reduction_ratio": 0.25,
    "high_reduction_ratio": 0.75,
    "min_damping": 1e-8,
    "max_damping": 1e8,
    "damping_scaling": "none",
    "restart_after": 0,
    "structural_scaling": "damping",
    "matching_distance": "auto",
    "structural_damping_factor": 1.0,
    "min_cg_iterations": 0,
    "cg_tolerance": 5e-4,
    "cg_window": 10,
    "cg_residual_tolerance": 1e-10,
    "cg_dtype": "float64",
    "preconditioner_exponent": 0.75,
    "reset_warm_start": True,
    "backtracking_judge": "loss",
    "reduction_ratio_batch": "curvature",
    "line_search_decrease": 0.8,
    "max_line_search_steps": 50,
}
"""Keys of earlier versions that no result needs, with the value that an update now has in their place."""

ADDED: Mapping[str, Any] = {"max_cg_factor": 1}
"""Keys that earlier versions did not have, with the value that an update had in their place."""


def current_keys(values: Mapping[str, Any], *, is_continued: bool) -> dict[str, Any]:
    """The keys of an earlier version's `optim=hf`, from a record, as they are now: without removed, with added ones.

    Args:
        values: The keys in the record.
        is_continued: Whether the run goes on, so that its next updates have to follow the same rules.

    Raises:
        ConfigError: The run goes on, and a removed key has a value that an update no longer can have.
    """
    curvature = values.get("curvature_batch_size")
    unused = {
        "backtracking_batch_size": values.get("backtracking") == "none" or values.get("backtracking_batch") != "fresh",
        "line_search_batch_size": values.get("line_search_batch") not in ("both", "fresh"),
    }
    replaced = {
        **REMOVED,
        "max_batch_factor": values.get("max_batch_factor"),  # of batches that double
        "keep_iterates_every": 10 if values.get("backtracking") == "best" else None,
        **{key: values.get(key) if is_unused else curvature for key, is_unused in unused.items()},
    }
    for key, value in replaced.items():
        if is_continued and values.get(key, value) != value:
            given, now = _shown(values[key]), _shown(value)
            raise ConfigError(f"optim.{key}={given}: this key has been removed, and only runs with {now} can go on")
    return {**ADDED, **{key: value for key, value in values.items() if key not in replaced}}


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def conflict(optim: HfConfig) -> str | None:
    """The message for values that exclude each other; None if there are none."""
    sizes = optim.curvature_batch_size, optim.gradient_batch_size
    if sizes[0] > sizes[1]:
        return f"optim.curvature_batch_size must be <= optim.gradient_batch_size, got {sizes[0]} and {sizes[1]}"
    return None
