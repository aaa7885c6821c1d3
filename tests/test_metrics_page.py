"""docs/metrics.md says what the program records."""

from pathlib import Path

import pytest

from docs.make.metrics import PROBES, markdown
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.optim.first_order import INFORMATION_FLOW
from rnnbench.optim.hessian_free_metrics import METRICS
from rnnbench.tasks.adding import Adding
from rnnbench.training.observation import LOOP_METRICS

ROOT = Path(__file__).parents[1]
OPTIONS = {
    "state_gradient": {"picture_every": 1},
    "state_jacobian": {"picture_every": 1, "num_sequences": 1, "num_steps": 1},
    "jacobian_normality": {"picture_every": 1, "num_sequences": 1, "num_steps": 1},
    "jacobian_product": {"picture_every": 1, "num_sequences": 1},
    "lyapunov": {"picture_every": 1, "num_sequences": 1},
    "jacobian_push": {
        "picture_every": 1,
        "num_sequences": 1,
        "num_steps": 1,
        "num_directions": 1,
        "push_size": 1.0,
        "push_steps": 1,
    },
    "gradient_by_lag": {"picture_every": 1, "num_sequences": 1},
    "gradient_noise": {"num_sequences": 1},
    "curvature": {
        "picture_every": 1,
        "num_sequences": 1,
        "num_iterations": 20,
        "num_eigenvectors": 20,
        "lr": None,
        "momentum": 0.9,
        "damping": None,
    },
}


def test_the_page_is_up_to_date():
    assert (ROOT / "docs/metrics.md").read_text() == markdown(), "run python -m docs.make metrics"


@pytest.mark.parametrize("name", PROBES)
def test_every_column_of_a_probe_has_its_sentence(name):
    """A metric whose tag ends in capitals stands for several columns."""
    probe = PROBES[name](**OPTIONS.get(name, {}))
    for column in probe.columns(SimpleRnn(2, 1, 3), Adding(50)):
        assert any(metric.match(column) is not None for metric in probe.metrics), column


def test_every_sentence_is_whole():
    metrics = [
        *LOOP_METRICS,
        INFORMATION_FLOW,
        *METRICS,
        *(metric for probe in PROBES.values() for metric in probe.metrics),
    ]
    assert all(metric.formula and metric.unit and metric.healthy for metric in metrics)
    assert len({metric.tag for metric in metrics}) == len(metrics)
