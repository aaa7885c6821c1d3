"""Whatever is chosen, a replica descends as if alone."""

from hessian_free_cases import adding_problem, column, hessian_free
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.checks.optim_laws import OptimizerCase, a_replica_descends_as_if_alone

CHOICES = {
    "reduction_ratio": st.sampled_from(["damped", "undamped"]),
    "rejected_damping": st.sampled_from(["ratio", "increase"]),
    "structural_normalization": st.sampled_from(["batch", "batch_time", "loss"]),
    "preconditioner": st.sampled_from(["none", "diagonal"]),
    "backtracking": st.sampled_from(["none", "walk_back", "best"]),
    "backtracking_batch": st.sampled_from(["fresh", "curvature", "gradient"]),
    "line_search_batch": st.sampled_from(["both", "fresh", "curvature", "gradient"]),
}
OWN = {
    "damping": column(1.0, 5.0, 0.5),
    "structural_damping": column(0.0, 0.3, 1.0),
    "warm_start_decay": column(0.95, 0.5, 0.0),
    "weight_decay": column(0.0, 1e-4, 1e-2),
    "line_search_sufficient_decrease": column(0.0, 1e-2, 0.3),
}


@settings(max_examples=30)
@given(st.fixed_dictionaries(CHOICES))
def test_a_replica_descends_as_if_alone(choices):
    """Different hyperparameters side by side, two updates.

    Few iterations and no small damping: beyond, CG itself amplifies the rounding of products in larger blocks.
    """
    optimizer = hessian_free(3, max_cg_iterations=6, **OWN, **choices)
    a_replica_descends_as_if_alone(OptimizerCase(optimizer, *adding_problem([3, 4, 5]), num_updates=2))
