"""Gradient noise and averages of the weights, which every first-order method may have."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from first_order_cases import NEVER, SameForAll, column, draw, every_optimizer, start
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rnnbench.checks.optim_laws import OPTIMIZER_LAWS, OptimizerCase
from rnnbench.checks.run_laws import RunCase, resumes_bit_for_bit
from rnnbench.cli import main
from rnnbench.config.build import build
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.config.trust import NOTHING
from rnnbench.optim.gradient_noise import GradientNoise
from rnnbench.optim.sgd import Sgd
from rnnbench.optim.weight_average import WeightAverage
from rnnbench.training.checkpoint import load_checkpoint

NOISE = GradientNoise(
    variance=column(0.0, 0.3, 1e-2), decay=column(0.55, 0.55, 1.0), seeds=torch.tensor([0, 2**61 + 1, 7])
)
MEAN = WeightAverage(decay=column(0.0, 0.9, 1.0), start=column(3, 0, 2))


def test_noise_is_normal_with_the_variance_of_the_paper_at_every_update():
    noise = GradientNoise(variance=column(0.3), decay=column(0.55), seeds=torch.tensor([3]))
    zero = torch.zeros(1, 20_001, dtype=torch.float64)
    drawn = torch.cat([noise.add(zero, update) for update in range(12)])
    shares = 0.3 / (1 + torch.arange(12, dtype=torch.float64)) ** 0.55
    standard = drawn / shares.sqrt().unsqueeze(1)
    # Five standard errors of a mean, a variance and a fourth moment of 20,001 normal numbers; of a correlation too.
    assert standard.mean(1).abs().max() < 5 / 20_001**0.5
    assert (standard.var(1) - 1).abs().max() < 5 * (2 / 20_001) ** 0.5
    assert (standard.pow(4).mean(1) - 3).abs().max() < 5 * (96 / 20_001) ** 0.5
    correlations = standard.corrcoef() - torch.eye(12)
    assert correlations.abs().max() < 5 / 20_001**0.5


@given(rows=st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True), update=st.integers(0, 10**6))
def test_the_noise_of_a_replica_does_not_depend_on_the_others(rows, update):
    gradient = start()
    alone = NOISE.replicas(torch.tensor(rows)).add(gradient[rows], update)
    assert torch.equal(alone, NOISE.add(gradient, update)[rows])


@every_optimizer
def test_noise_is_added_to_the_clipped_gradient_of_the_step_and_not_to_the_recorded_one(optimizer):
    theta = start()
    noisy = replace(optimizer, noise=NOISE)
    state = noisy.first_state(theta)
    result = noisy.update(theta, state, 4, draw)
    plain = optimizer.update(theta, state, 4, draw)
    assert torch.equal(result.clipped_gradient, plain.clipped_gradient)
    expected, _ = optimizer.advance(NOISE.add(plain.clipped_gradient, 4), theta, state, 4, None)
    assert torch.equal(result.theta, expected)
    assert torch.equal(result.theta[0], plain.theta[0])  # its variance is 0
    assert optimizer.is_capturable
    assert not noisy.is_capturable


@every_optimizer
@pytest.mark.parametrize("law", OPTIMIZER_LAWS, ids=lambda law: law.statement)
def test_laws(optimizer, law):
    both = replace(optimizer, noise=NOISE, average=MEAN)
    law.check(OptimizerCase(both, SameForAll(), start(), num_updates=6))


def averaged_by_torch(path, decay, first):
    """The averages of AveragedModel after each update, from the path of one replica, (updates, P)."""
    net = torch.nn.Linear(path.shape[1], 1, bias=False).double()
    function = None if decay == 1 else get_ema_multi_avg_fn(decay)
    model = AveragedModel(net, multi_avg_fn=function)
    averages = []
    for number, theta in enumerate(path):
        with torch.no_grad():
            net.weight.copy_(theta.unsqueeze(0))
        if number >= first:
            model.update_parameters(net)
        averages.append(theta if number < first else model.module.weight[0].detach().clone())
    return torch.stack(averages)


@given(decay=st.sampled_from([0.0, 0.5, 0.99, 1.0]), first=st.integers(0, 15))
def test_the_average_is_that_of_torch(decay, first):
    path = torch.randn(15, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(first))
    average = WeightAverage(decay=column(decay), start=column(first))
    value, found = torch.zeros(1, 4, dtype=torch.float64), []
    for update, theta in enumerate(path):
        captured = average.after(value, theta.unsqueeze(0), torch.tensor(update))  # as in a CUDA graph
        value = average.after(value, theta.unsqueeze(0), update)
        assert torch.equal(value, captured)
        found.append(value[0])
    torch.testing.assert_close(torch.stack(found), averaged_by_torch(path, decay, first), rtol=1e-13, atol=1e-13)


@every_optimizer
def test_an_average_is_kept_beside_the_same_steps(optimizer):
    theta, averaging = start(), replace(optimizer, average=MEAN)
    plain, states = theta, (optimizer.first_state(theta), averaging.first_state(theta))
    path = []
    for update in range(8):
        alone, both = optimizer.update(plain, states[0], update, draw), averaging.update(theta, states[1], update, draw)
        plain, theta, states = alone.theta, both.theta, (alone.state, both.state)
        assert torch.equal(plain, theta)
        path.append(theta)
    found = averaging.averaged(states[1])
    for row, (decay, first) in enumerate([(0.0, 3), (0.9, 0), (1.0, 2)]):
        expected = averaged_by_torch(torch.stack(path)[:, row], decay, first)[-1]
        torch.testing.assert_close(found[row], expected, rtol=1e-13, atol=1e-13)
    assert optimizer.averaged(states[0]) is None


SMALL = ["task.sequence_length=6", "model.hidden_size=4", "optim.batch_size=4", "probe=none", "threads=1"]
BOTH = ["optim.gradient_noise=0.01", "optim.average_decay=0.9", "optim.average_start=1"]


@pytest.mark.parametrize("optim", ["nag", "soap", "schedule_free_adamw"])
def test_a_run_with_both_resumes_bit_for_bit(optim):
    def configure(updates):
        words = [f"optim={optim}", *SMALL, *BOTH, f"budget.updates={updates}", "record.log_every=1"]
        return make_plan(parse_request([*words, "record.evaluate_every=1"])).configs[0]

    resumes_bit_for_bit(RunCase(configure, NOTHING))


def test_the_keys_are_per_replica_and_make_nothing_by_default():
    words = ["-m", "optim=sgd", *SMALL, "optim.average_decay=0,0.5", "optim.gradient_noise=0,0.1", "seed=5"]
    jobs = make_plan(parse_request(words)).configs
    built = build(jobs).optimizer
    assert isinstance(built, Sgd)
    assert built.average.decay.tolist() == [[0], [0], [0.5], [0.5]]
    assert built.noise.variance.tolist() == [[0], [0.1], [0], [0.1]]
    assert built.noise.seeds.tolist() == [5] * 4
    plain = build(jobs[:1]).optimizer
    assert (plain.noise, plain.average, plain.clip_norm.equal(NEVER[:1])) == (None, None, False)


def test_the_average_is_evaluated_reported_and_exported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["optim=adam", *SMALL, "budget.updates=6", "record.evaluate_every=2", "optim.average_decay=1"]
    assert main(["train", "-q", "-m", "seed=1,2", *words, "hydra.sweep.dir=sweep"]) == 0
    rows = pd.read_csv("sweep/0/metrics.csv").dropna(subset="loss/eval")
    assert rows["loss/average"].notna().all()
    assert rows["loss/average"].iloc[0] == rows["loss/eval"].iloc[0]  # before the first update
    assert rows["loss/average"].iloc[-1] != rows["loss/eval"].iloc[-1]
    saved = load_checkpoint(tmp_path / "sweep/0/checkpoint.pt")
    assert main(["report", "sweep"]) == 0
    assert "loss of average" in capsys.readouterr().out
    assert main(["export", "sweep/0", "net.pt", "--average"]) == 0
    exported = torch.cat([each.flatten() for each in torch.load("net.pt", weights_only=True)["state_dict"].values()])
    theta, average = saved["theta"][0], saved["optimizer_state"]["weight_average"][0]
    assert not torch.equal(theta, average)
    assert set(average.tolist()) <= set(exported.tolist())
    assert main(["train", "-q", *words, "optim.average_decay=0", "hydra.run.dir=plain"]) == 0
    assert main(["export", "plain", "plain.pt", "--average"]) == 2
    assert "keeps no average of its weights" in capsys.readouterr().err
