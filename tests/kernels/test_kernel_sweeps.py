"""The kernels' sweeps against torch's in float64, under Triton's interpreter."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.gpu_check.precision import SweepCase
from rnnbench.models.nonlinearity import NONLINEARITIES

CPU = torch.device("cpu")


@settings(max_examples=8)
@given(
    st.builds(
        SweepCase,
        num_replicas=st.integers(1, 3),
        num_sequences=st.integers(1, 19),
        num_steps=st.integers(1, 5),
        hidden_size=st.integers(1, 40),
        input_size=st.sampled_from((1, 2, 20)),
        nonlinearity=st.sampled_from(tuple(NONLINEARITIES)),
        num_outputs=st.sampled_from((None, 1, 2)),
        is_damped=st.booleans(),
        tile=st.sampled_from(((16, 4), (32, 8))),
        seed=st.integers(0, 99),
    )
)
@example(SweepCase(num_sequences=17, hidden_size=100))
@example(SweepCase(num_replicas=1, hidden_size=130, nonlinearity="sigmoid", num_outputs=None))
@example(SweepCase(num_replicas=1, num_steps=3, hidden_size=129, input_size=35, num_outputs=2))
@example(SweepCase(input_size=35, nonlinearity="relu", is_damped=False))
@example(SweepCase(num_replicas=40, num_sequences=1, num_steps=2, nonlinearity="linear"))
def test_sweeps_equal_torch_in_float64(case):
    found = case.compare(CPU)
    assert found["ok"], found


def through_kernel(nonlinearity, pre_activations):
    """f(a) as the kernel has it: one step of one unit from inputs of weight 1."""
    from rnnbench.kernels import launch

    rows = torch.zeros(1, 2, len(pre_activations), 16)
    rows[0, 0, :, 1] = pre_activations
    with launch.fixed_tile(launch.Tile(64, 4)):
        launch.run_states(rows, torch.tensor([[[0.0], [1.0], [0.0]]]), nonlinearity)
    return rows[0, 1, :, 0]


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid"])
def test_nonlinearity_is_exact_to_three_units_in_the_last_place(nonlinearity):
    """Near zero too, where small signals live."""
    sizes = torch.cat([torch.logspace(-30, 1.5, 500), torch.linspace(0.5, 0.7, 100)])
    points = torch.cat([sizes, -sizes, torch.zeros(1)])
    found = through_kernel(nonlinearity, points).double()
    exact = getattr(torch, nonlinearity)(points.double())
    # The unit of zero is denormal, and read as zero where another test has had denormals flushed.
    unit = torch.from_numpy(np.spacing(exact.abs().float().numpy())).double().clamp(min=2.0**-149)
    assert ((found - exact).abs() / unit).max() <= 3


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_what_diverges_stays_visible(nonlinearity):
    points = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0])
    with np.errstate(invalid="ignore"):  # infinity times 0 in the columns beyond n
        found = through_kernel(nonlinearity, points)
    assert torch.allclose(found, NONLINEARITIES[nonlinearity].of(points), equal_nan=True)
