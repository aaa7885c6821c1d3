"""The keys of the Hessian-free optimizer.

"Released code of Martens and Sutskever (2011)" means Sutskever's HF-RNN; "of Martens (2010)" means his MATLAB code.
Fields as in `rnnbench.config.schema`.
"""

from dataclasses import dataclass

from rnnbench.config.declaration import choice
from rnnbench.config.option import option, other_default
from rnnbench.config.schema import Cadence, OptimizerConfig


@choice("optim", "hf")
@dataclass
class HfConfig(OptimizerConfig):
    """Hessian-free."""

    cadence: Cadence = other_default(  # noqa: RUF009 - a field
        OptimizerConfig, "cadence", Cadence(updates=200, log_every=1, evaluate_every=1, checkpoint_every=5)
    )
    gradient_batch_size: int = option(2000, "sequences for the gradient", low=1)
    curvature_batch_size: int = option(500, "sequences for Gauss-Newton products and the reduction ratio", low=1)
    curvature_source: str = option(
        "subset",
        "subset: the first sequences of the gradient batch (as in the released code of Martens and "
        "Sutskever 2011); fresh: new sequences",
        choices=("subset", "fresh"),
    )
    backtracking_batch_size: int = option(
        500, "sequences for backtracking over CG iterates, if backtracking_batch=fresh", low=1
    )
    line_search_batch_size: int = option(500, "sequences for the line search, if line_search_batch=fresh", low=1)
    batch_doubling_every: int = option(
        0, "updates after which all batch sizes double (beyond the papers); 0: never", low=0
    )
    max_batch_factor: int = option(8, "largest factor of the batch sizes over their initial values", low=1)
    weight_decay: float = option(
        0.0,
        "L2 weight decay: this times |theta|^2 / 2 is added to the loss in gradient, products and line search; "
        "released code of Martens and Sutskever (2011): 2e-5",
        low=0,
        per_replica=True,
    )
    damping: float = option(0.1, "initial damping lambda", above=0, per_replica=True)
    damping_increase: float = option(
        1.5, "factor that increases the damping if the reduction ratio is low", above=1, per_replica=True
    )
    damping_decrease: float = option(
        0.6666666666666666,
        "factor that decreases the damping if the reduction ratio is high",
        above=0,
        below=1,
        per_replica=True,
    )
    low_reduction_ratio: float = option(
        0.25,
        "reduction ratio below which the damping grows (Martens 2010, section 4.1)",
        low=0,
        below=1,
        per_replica=True,
    )
    high_reduction_ratio: float = option(
        0.75, "reduction ratio above which the damping shrinks (Martens 2010, section 4.1)", above=0, per_replica=True
    )
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
    min_damping: float = option(1e-8, "smallest damping", above=0, per_replica=True)
    max_damping: float = option(1e8, "largest damping", above=0, per_replica=True)
    damping_scaling: str = option(
        "none",
        "none: the same damping for all parameters; weights: for each parameter tensor times the mean square of "
        "all parameters over its own, within 0.01 to 100",
        choices=("none", "weights"),
    )
    restart_after: int = option(
        0, "successive failed updates after which the damping is reset (beyond the papers); 0: never", low=0
    )
    structural_damping: float = option(
        0.1,
        "weight mu of the damping of hidden states, by default times the damping; 0: none. Released code"
        " of Martens and Sutskever (2011): 0.03 times 1/4, hence 0.0075 here",
        low=0,
        per_replica=True,
    )
    matching_distance: str = option(
        "auto",
        "distance between hidden states before and after a step - cross_entropy: pre-activations weighted by f', "
        "1 - h^2 for tanh (Martens and Sutskever 2011); squared_error: squared difference of the states, f'^2 of "
        "the pre-activations; auto: cross_entropy for rnn, squared_error for other models",
        choices=("auto", "cross_entropy", "squared_error"),
    )
    structural_normalization: str = option(
        "batch",
        "batch: sum over the steps, mean over the sequences; batch_time: mean over both (theano-hf); loss: "
        "normalized by the number of outputs, as the loss (Martens and Sutskever 2011)",
        choices=("batch", "batch_time", "loss"),
    )
    structural_scaling: str = option(
        "damping",
        "damping: mu times lambda (Martens and Sutskever 2011); constant: mu alone",
        choices=("damping", "constant"),
    )
    structural_damping_factor: float = option(
        1.0,
        "mu is multiplied by this if the reduction ratio is low, divided if high (beyond the papers); 1: constant",
        low=1,
        per_replica=True,
    )
    max_cg_iterations: int = option(20, "largest number of CG iterations per update", low=1)
    min_cg_iterations: int = option(0, "CG iterations before slow progress can stop CG", low=0)
    cg_tolerance: float = option(
        5e-4, "stop CG if the relative progress over k iterations is less than k times this", above=0, per_replica=True
    )
    cg_window: int = option(10, "smallest k of this rule (Martens 2010, section 4.4: k = max(10, 0.1 i))", low=1)
    cg_residual_tolerance: float = option(
        1e-10, "stop CG if the norm of the residual is below this", low=0, per_replica=True
    )
    cg_dtype: str = option(
        "float64", "floating-point type of the CG vectors; dot products use float64", choices=("float64", "float32")
    )
    preconditioner: str = option(
        "none",
        "none, or diagonal: (empirical Fisher of the curvature batch + damping)^exponent (Martens 2010, section 4.7)",
        choices=("none", "diagonal"),
    )
    preconditioner_exponent: float = option(
        0.75, "exponent of the diagonal preconditioner", above=0, high=1, per_replica=True
    )
    warm_start_decay: float = option(0.95, "CG starts at this times its last solution", low=0, high=1, per_replica=True)
    reset_warm_start: bool = option(True, "start CG from zero after a rejected step")
    backtracking: str = option(
        "walk_back",
        "none: take the last CG iterate; walk_back: go back from it while this lowers the loss (Martens 2010, section "
        "4.6); best: take the best kept iterate (released code of Martens and Sutskever 2011)",
        choices=("none", "walk_back", "best"),
    )
    backtracking_batch: str = option(
        "fresh", "batch on which backtracking compares iterates", choices=("fresh", "curvature", "gradient")
    )
    backtracking_judge: str = option(
        "loss", "compare iterates by the loss or by the damped quadratic model", choices=("loss", "quadratic")
    )
    keep_iterates_every: int | None = option(
        None,
        "keep every k-th CG iterate for backtracking, 10 in the released code of Martens and Sutskever "
        "(2011); null: at intervals that grow by a factor of 1.3 (Martens 2010)",
        low=1,
    )
    line_search_batch: str = option(
        "fresh", "batch on which the line search evaluates the loss", choices=("fresh", "curvature", "gradient")
    )
    line_search_decrease: float = option(0.8, "ratio of successive step sizes", above=0, below=1)
    max_line_search_steps: int = option(50, "step sizes to try before the step is rejected", low=1)
    line_search_sufficient_decrease: float = option(
        0.0,
        "required decrease, as a fraction of the decrease that the gradient predicts - 0: any (Martens and Sutskever"
        " 2011); 1e-2: Armijo's rule (released code of Martens 2010)",
        low=0,
        below=1,
        per_replica=True,
    )


def conflict(optim: HfConfig) -> str | None:
    """The message for values that exclude each other; None if there are none."""
    sizes = optim.curvature_batch_size, optim.gradient_batch_size
    if optim.curvature_source == "subset" and sizes[0] > sizes[1]:
        return (
            f"optim.curvature_batch_size must be <= optim.gradient_batch_size if optim.curvature_source=subset, "
            f"got {sizes[0]} and {sizes[1]}"
        )
    if not optim.min_damping <= optim.damping <= optim.max_damping:
        return (
            f"optim.min_damping <= optim.damping <= optim.max_damping must hold, "
            f"got {optim.min_damping:g}, {optim.damping:g}, {optim.max_damping:g}"
        )
    if optim.low_reduction_ratio >= optim.high_reduction_ratio:
        return (
            f"optim.low_reduction_ratio < optim.high_reduction_ratio must hold, "
            f"got {optim.low_reduction_ratio:g} and {optim.high_reduction_ratio:g}"
        )
    if optim.min_cg_iterations > optim.max_cg_iterations:
        return (
            f"optim.min_cg_iterations must be <= optim.max_cg_iterations, "
            f"got {optim.min_cg_iterations} and {optim.max_cg_iterations}"
        )
    return None
