"""A first-order update never waits for its device: on the meta device, which has no numbers, it runs through."""

import pytest
import torch

from rnnbench.config.build import build
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.objective.engine import Engine
from rnnbench.training.problem import Problem

META = torch.device("meta")


@pytest.mark.parametrize(
    "words",
    [
        "task=adding optim=sgd",
        "task=adding optim=adam schedule=cosine schedule.warmup=1",
        "task=adding task.variant=pascanu13 optim=nag optim.form=torch model=gru",
        "task=adding task.variant=hs97 optim=adam model=lstm",
        "task=adding optim=nag model=lstm model.recurrence=fused",
        "task=memorization_5 optim=sgd model=gru model.recurrence=fused",
        "task=temporal_order optim=nag optim.clip_norm=1",
        "task=memorization_5 optim=adam optim.clip_value=1 optim.clip_norm=null",
        "task=random_permutation optim=sgd",
        "task=latch model=latch optim=sgd",
        "task=multiplication optim=sgd",
        "task=xor optim=sgd",
    ],
)
def test_update_reads_nothing(words):
    words = [*words.split(), "task.sequence_length=20", "model.hidden_size=3", "optim.batch_size=4"]
    if "task=latch" in words:
        words[-2] = "model.hidden_size=1"
    config = make_plan(parse_request(words)).configs[0]
    built = build([config, config])
    problem = Problem(built.task, Engine(built.model, device=META), [0, 1])
    theta = torch.zeros(2, built.model.num_parameters, device=META)
    state = built.optimizer.initial_state(theta)
    for number in range(2):
        update = built.optimizer.update(theta, state, number, problem.draw(number))
        theta, state = update.theta, update.state
        assert theta.device == META
        assert update.sequences.tolist() == [4, 4]
    with pytest.raises(RuntimeError, match="meta"):  # what a read would be
        update.gradient.loss.tolist()
