"""The keys of Hessian-free.

"The released code of Martens and Sutskever (2011)" is Sutskever's HF-RNN, that of Martens (2010) his MATLAB code.
Fields as in `rnnbench.config.schema`.
"""

from dataclasses import dataclass

from rnnbench.config.declaration import choice
from rnnbench.config.option import option, other_default
from rnnbench.config.schema import Cadence, Optimizer


@choice("optim", "hf")
@dataclass
class Hf(Optimizer):
    """Hessian-free."""

    cadence: Cadence = other_default(  # noqa: RUF009 - a field
        Optimizer, "cadence", Cadence(updates=200, log_every=1, evaluate_every=1, checkpoint_every=5)
    )
    gradient_batch_size: int = option(2000, "sequences for the gradient", low=1)
    curvature_batch_size: int = option(500, "sequences for Gauss-Newton products and the reduction ratio", low=1)
    curvature_source: str = option(
        "subset",
        "subset: the first sequences of the gradient batch (as the released code of Martens and "
        "Sutskever 2011); fresh: others",
        choices=("subset", "fresh"),
    )
    backtracking_batch_size: int = option(
        500, "sequences that choose among the kept CG iterates, where they are fresh", low=1
    )
    line_search_batch_size: int = option(500, "sequences for the line search, where they are fresh", low=1)
    batch_doubling_every: int = option(
        0, "all batches double every so many updates (beyond the papers); 0: never", low=0
    )
    max_batch_factor: int = option(8, "the batches never exceed this times their first sizes", low=1)
    weight_decay: float = option(
        0.0,
        "L2 weight decay: this times |theta|^2 / 2 in the loss, gradient, products and line search; "
        "released code of Martens and Sutskever (2011): 2e-5",
        low=0,
        per_replica=True,
    )
    damping: float = option(0.1, "initial damping lambda", above=0, per_replica=True)
    damping_increase: float = option(
        1.5, "factor of the damping when the reduction ratio is low", above=1, per_replica=True
    )
    damping_decrease: float = option(
        0.6666666666666666, "factor of the damping when the reduction ratio is high", above=0, below=1, per_replica=True
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
        "predicted reduction with the damping (released code of Martens and Sutskever 2011) or undamped "
        "(that of Martens 2010)",
        choices=("damped", "undamped"),
    )
    rejected_damping: str = option(
        "ratio",
        "damping after a step that no size of which lowers the line search's loss - ratio: as the "
        "reduction ratio says; increase: grows whatever it says (released codes)",
        choices=("ratio", "increase"),
    )
    min_damping: float = option(1e-8, "lower limit of the damping", above=0, per_replica=True)
    max_damping: float = option(1e8, "upper limit of the damping", above=0, per_replica=True)
    damping_scaling: str = option(
        "none",
        "none: the same for all parameters; weights: in each named parameter times the mean square of "
        "all over its own, within 0.01 to 100",
        choices=("none", "weights"),
    )
    restart_after: int = option(
        0, "failed updates running after which the damping starts anew (beyond the papers); 0: never", low=0
    )
    structural_damping: float = option(
        0.1,
        "weight mu of the damping on hidden states, by default times the damping; 0: none. Released code"
        " of Martens and Sutskever (2011): 0.03 times 1/4, so 0.0075 here",
        low=0,
        per_replica=True,
    )
    matching_distance: str = option(
        "auto",
        "distance of hidden states before and after a step - cross_entropy: weight f' of the pre-"
        "activations, 1 - h^2 for tanh (Martens and Sutskever 2011); squared_error: of the states, f'^2 "
        "of the pre-activations; auto: cross_entropy for rnn, squared_error for other models",
        choices=("auto", "cross_entropy", "squared_error"),
    )
    structural_normalization: str = option(
        "batch",
        "sum over the steps, mean over the sequences (batch), over the steps too (batch_time, theano-"
        "hf), or as the loss, over its outputs (loss, Martens and Sutskever 2011)",
        choices=("batch", "batch_time", "loss"),
    )
    structural_scaling: str = option(
        "damping",
        "damping: mu times lambda (Martens and Sutskever 2011); constant: mu alone",
        choices=("damping", "constant"),
    )
    structural_damping_factor: float = option(
        1.0,
        "factor of mu when the reduction ratio is low, its divisor when it is high (beyond the papers); 1: mu stays",
        low=1,
        per_replica=True,
    )
    max_cg_iterations: int = option(20, "limit of CG iterations in an update", low=1)
    min_cg_iterations: int = option(0, "CG iterations before slow progress can end them", low=0)
    cg_tolerance: float = option(
        5e-4, "stop CG when k iterations bring less than k times this relative progress", above=0, per_replica=True
    )
    cg_window: int = option(10, "least k of that rule (Martens 2010, section 4.4: k = max(10, 0.1 i))", low=1)
    cg_residual_tolerance: float = option(
        1e-10, "stop CG when the norm of the residual is below this", low=0, per_replica=True
    )
    cg_dtype: str = option(
        "float64", "floating-point type of CG's vectors; dot products are float64", choices=("float64", "float32")
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
    reset_warm_start: bool = option(True, "after a rejected step CG starts from zero")
    backtracking: str = option(
        "walk_back",
        "none: the last CG iterate; walk_back: back from it while that is better (Martens 2010, section "
        "4.6); best: of all that were kept (released code of Martens and Sutskever 2011)",
        choices=("none", "walk_back", "best"),
    )
    backtracking_batch: str = option(
        "fresh", "batch by which backtracking judges", choices=("fresh", "curvature", "gradient")
    )
    backtracking_judge: str = option(
        "loss", "loss, or the damped quadratic of that batch", choices=("loss", "quadratic")
    )
    keep_iterates_every: int | None = option(
        None,
        "keep every k-th CG iterate for backtracking, 10 in the released code of Martens and Sutskever "
        "(2011); null: at gaps that grow by 1.3 (Martens 2010)",
        low=1,
    )
    line_search_batch: str = option(
        "fresh", "batch by which the line search judges", choices=("fresh", "curvature", "gradient")
    )
    line_search_decrease: float = option(0.8, "factor between the step sizes that are tried", above=0, below=1)
    max_line_search_steps: int = option(50, "step sizes that are tried before the step is rejected", low=1)
    line_search_sufficient_decrease: float = option(
        0.0,
        "fall that is asked for, as a share of the gradient's prediction - 0: any (Martens and Sutskever"
        " 2011); 1e-2: Armijo's rule (released code of Martens 2010)",
        low=0,
        below=1,
        per_replica=True,
    )
