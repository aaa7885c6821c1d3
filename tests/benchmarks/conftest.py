import pytest
from measuring import announcer, lanes

from benchmarks import probes, runs

__all__ = ["announcer", "lanes", "tiny_runs"]

TINY = {
    "optim=hf": {
        "optim.gradient_batch_size": 8,
        "optim.curvature_batch_size": 4,
        "optim.max_cg_iterations": 3,
        "model.hidden_size": 5,
        "task.sequence_length": 12,
    },
    "optim=nag": {"optim.batch_size": 3, "model.hidden_size": 4, "task.sequence_length": 21, "record.log_every": 2},
}


@pytest.fixture
def tiny_runs(monkeypatch):
    """The runs whose updates are measured, at a tiny size, with at most two replicas."""
    compose = runs.configs_of

    def configs_of(overrides, num_replicas):
        sizes = TINY[next(word for word in overrides if word in TINY)]
        kept = [word for word in overrides if word.partition("=")[0] not in sizes]
        return compose([*kept, *(f"{key}={value}" for key, value in sizes.items())], min(num_replicas, 2))

    for module in (runs, probes):
        monkeypatch.setattr(module, "configs_of", configs_of)
