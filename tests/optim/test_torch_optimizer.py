"""Optimizers with torch.optim's interface make the steps of the class used by hand, also after a resume."""

import inspect
import math
import sys
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import pytorch_optimizer
import torch
from documents import blocks
from hypothesis import given

from rnnbench.cli import main
from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.optim import torch_optimizer
from rnnbench.optim.mapped_group import MappedGroup
from rnnbench.optim.muon import Muon
from rnnbench.optim.nested_state import contiguous, restored, stored, without_tensors
from rnnbench.optim.torch_optimizer import TorchOptimizer
from rnnbench.optim.torch_trial import Together

ROOT = Path(__file__).parents[2]
LAYOUT = {"weight_ih": (6, 2), "weight_hh": (6, 6), "bias": (6,), "weight_out": (1, 6)}
SIZE = sum(math.prod(shape) for shape in LAYOUT.values())
LRS = (1e-2, 1e-3, 1e-2)

MUON = {
    "momentum": 0.9,
    "ns_steps": 5,
    "adamw_lr": 1e-3,
    "adamw_betas": (0.9, 0.95),
    "adamw_eps": 1e-8,
    "recurrent": ["weight_hh"],
}
STACKED = [
    (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}),
    (torch.optim.AdamW, {"betas": (0.8, 0.9)}),
    (torch.optim.Adagrad, {"initial_accumulator_value": 0.1}),
    (pytorch_optimizer.Lion, {}),
    (pytorch_optimizer.ScheduleFreeAdamW, {"warmup_steps": 3}),
    (Muon, MUON),
]
MAPPED = [
    (pytorch_optimizer.SOAP, {"precondition_frequency": 3}),
    (pytorch_optimizer.Shampoo, {"preconditioning_compute_steps": 2, "momentum": 0.5}),
    (pytorch_optimizer.Kron, {}),
]
ALONE = [(torch.optim.Adafactor, {})]
ALL = pytest.mark.parametrize(("cls", "keys"), STACKED + MAPPED + ALONE, ids=lambda each: getattr(each, "__name__", ""))


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


@pytest.fixture(autouse=True)
def _two_replicas_are_mapped(monkeypatch):
    monkeypatch.setattr(torch_optimizer, "SMALLEST_MAPPED", 2)


MADE = {}


def make(cls, keys, lrs=LRS, weight_decay=0.0, layout=LAYOUT):
    """A new optimizer; the trial steps are made once for each combination of arguments."""
    combination = (cls, repr(keys), lrs, weight_decay, tuple(layout.values()))
    if combination not in MADE:
        endless = column(*[math.inf] * len(lrs))
        MADE[combination] = TorchOptimizer.of_class(
            cls,
            layout,
            keys,
            dtype=torch.float32,
            batch_size=5,
            lr=column(*lrs),
            weight_decay=column(*[weight_decay] * len(lrs)),
            clip_norm=endless,
            clip_value=endless,
            information_flow=0 / endless,
        )
    return replace(MADE[combination])


def gradients(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(len(LRS), SIZE, generator=generator) for _ in range(count)]


def train(optimizer, theta, state, steps, first=0):
    """Parameters and state after some steps, and the points at which their gradients would be taken."""
    points = []
    for update, gradient in enumerate(steps, first):
        points.append(optimizer.point(theta, state, update))
        theta, state = optimizer.advance(gradient, theta, state, update, None)
    return theta, state, points


def by_hand(cls, keys, lr, start, steps, *, draws):
    """Parameters of one replica that the class itself trains."""
    sizes = [math.prod(shape) for shape in LAYOUT.values()]
    named = [(name, piece.clone().view(LAYOUT[name])) for name, piece in zip(LAYOUT, start.split(sizes), strict=True)]
    optimizer = cls(named if cls is Muon else [each for _, each in named], lr=lr, **keys)
    for update, gradient in enumerate(steps):
        for (_, parameter), piece in zip(named, gradient.split(sizes), strict=True):
            parameter.grad = piece.clone().view(parameter.shape)
        if draws:
            torch.manual_seed(update)
            np.random.seed(update)  # noqa: NPY002 - the generator that the classes use
        with torch.no_grad():
            optimizer.step()
        if cls is pytorch_optimizer.SOAP:  # its bases have other strides, and so its products other rounding
            for _, parameter in named:
                optimizer.state[parameter] = contiguous(optimizer.state[parameter])
    if hasattr(optimizer, "eval"):
        with torch.no_grad():
            optimizer.eval()
    return torch.cat([parameter.flatten() for _, parameter in named])


@ALL
def test_the_steps_are_those_of_the_class_used_by_hand(cls, keys):
    weight_decay = 0.01 if "weight_decay" in inspect.signature(cls).parameters else 0.0
    optimizer = make(cls, keys, weight_decay=weight_decay)
    decay = {"weight_decay": weight_decay} if weight_decay else {}
    start, steps = gradients(1, seed=2)[0], gradients(7)
    theta, _, _ = train(optimizer, start, optimizer.initial_state(start), steps)
    for row, lr in enumerate(LRS):
        own = by_hand(
            cls,
            {**keys, **decay},
            lr,
            start[row],
            [each[row] for each in steps],
            draws=optimizer.trial.draws_random_numbers,
        )
        assert torch.equal(theta[row], own)


@ALL
def test_a_state_that_was_saved_and_loaded_goes_on_bit_for_bit(cls, keys):
    start, steps = gradients(1, seed=2)[0], gradients(9)
    optimizer = make(cls, keys)
    theta, state, _ = train(optimizer, start, optimizer.initial_state(start), steps[:5])
    saved = {name: tensor.clone() for name, tensor in state.items()}
    straight, _, points = train(optimizer, theta, state, steps[5:], 5)
    resumed, _, again = train(make(cls, keys), theta, saved, steps[5:], 5)
    assert torch.equal(straight, resumed)
    assert all(torch.equal(one, other) for one, other in zip(points, again, strict=True))


@ALL
def test_replicas_that_end_leave_the_others_untouched(cls, keys):
    start, steps = gradients(1, seed=2)[0], gradients(6)
    optimizer = make(cls, keys)
    theta, state, _ = train(optimizer, start, optimizer.initial_state(start), steps[:3])
    together, _, _ = train(optimizer, theta, state, steps[3:], 3)
    rows = torch.tensor([0, 2])
    kept = {name: tensor[rows] for name, tensor in state.items()}
    fewer, _, _ = train(optimizer.replicas(rows), theta[rows], kept, [each[rows] for each in steps[3:]], 3)
    assert torch.equal(together[rows], fewer)


@ALL
def test_a_replica_that_diverges_changes_nothing_for_the_others(cls, keys):
    start, steps = gradients(1, seed=2)[0], gradients(4)
    healthy, _, _ = train(make(cls, keys), start, make(cls, keys).initial_state(start), steps)
    broken = [each.clone() for each in steps]
    broken[1][1] = math.nan
    wild, _, _ = train(make(cls, keys), start, make(cls, keys).initial_state(start), broken)
    assert torch.equal(wild[[0, 2]], healthy[[0, 2]])
    assert wild[1].isnan().all()


@pytest.mark.parametrize(
    ("cls", "keys", "together", "rows_of_groups"),
    [(*each, Together.STACKED, [[0, 2], [1]]) for each in STACKED]
    + [(*each, Together.MAPPED, [[0, 1, 2]]) for each in MAPPED]
    + [(*each, Together.ALONE, [[0], [1], [2]]) for each in ALONE],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_replicas_share_a_group_where_they_get_the_bits_that_they_get_alone(cls, keys, together, rows_of_groups):
    optimizer = make(cls, keys)
    assert optimizer.trial.together is together
    start = torch.zeros(len(LRS), SIZE)
    _, state, _ = train(optimizer, start, optimizer.initial_state(start), gradients(2))
    groups = optimizer._groups(start, state)
    assert [group.rows for group in groups] == rows_of_groups
    assert isinstance(groups[0], MappedGroup) == (together is Together.MAPPED)


@pytest.mark.parametrize(("num_inputs", "num_outputs"), [(2, 1), (6, 4), (10, 9)])
@pytest.mark.parametrize(("cls", "keys"), MAPPED, ids=lambda each: getattr(each, "__name__", ""))
def test_replicas_are_mapped_with_few_and_with_many_symbols(cls, keys, num_inputs, num_outputs, monkeypatch):
    layout = {"weight_ih": (50, num_inputs), "weight_hh": (50, 50), "bias": (50,), "weight_out": (num_outputs, 50)}
    optimizer = make(cls, keys, layout=layout)
    assert optimizer.trial.together is Together.MAPPED
    generator = torch.Generator().manual_seed(3)
    size = sum(math.prod(shape) for shape in layout.values())
    start, *steps = (torch.randn(len(LRS), size, generator=generator) for _ in range(15))
    found, _, _ = train(optimizer, start, optimizer.initial_state(start), steps)
    monkeypatch.setattr(torch_optimizer, "SMALLEST_MAPPED", 4)
    alone, _, _ = train(make(cls, keys, layout=layout), start, optimizer.initial_state(start), steps)
    assert torch.equal(found, alone)


def test_weight_decay_of_some_replicas_changes_no_bits():
    cls, keys = MAPPED[0]
    lrs = (1e-2, 3e-3, 1e-2, 3e-3)
    optimizer = replace(make(cls, keys, lrs), weight_decay=column(0.0, 0.1, 0.0, 0.1))
    generator = torch.Generator().manual_seed(4)
    start, *steps = (torch.randn(len(lrs), SIZE, generator=generator) for _ in range(8))
    theta, _, _ = train(optimizer, start, optimizer.initial_state(start), steps)
    for row, lr in enumerate(lrs):
        own = {**keys, "weight_decay": optimizer.weight_decay[row].item()}
        assert torch.equal(theta[row], by_hand(cls, own, lr, start[row], [each[row] for each in steps], draws=False))


def test_a_decomposition_that_fails_for_one_replica_leaves_the_others_untouched():
    start, steps = gradients(1, seed=2)[0], gradients(4)
    lrs = (1e-2,) * 3
    cls, keys = MAPPED[1]
    healthy, _, _ = train(make(cls, keys, lrs), start, make(cls, keys, lrs).initial_state(start), steps)
    broken = [each.clone() for each in steps]
    broken[1][1] = 1e30  # whose square is infinite
    wild, _, _ = train(make(cls, keys, lrs), start, make(cls, keys, lrs).initial_state(start), broken)
    assert torch.equal(wild[[0, 2]], healthy[[0, 2]])
    assert wild[1].isnan().all()


@pytest.mark.parametrize("shape", [(6, 6), (8, 2)])
def test_muon_steps_the_recurrent_weights_as_that_of_torch(shape):
    ours, theirs = torch.ones(shape), torch.ones(shape)
    others = torch.zeros(1)
    muon = Muon([("weight_hh", ours), ("bias", others)], lr=0.01, weight_decay=0.1, **MUON)
    torchs = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=0.9, ns_steps=5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        ours.grad, others.grad = torch.randn(shape, generator=generator), torch.ones(1)
        theirs.grad = ours.grad.clone()
        with torch.no_grad():
            muon.step()
            torchs.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=4 * 0.01 / 2**6)  # of bfloat16, after four steps


class NormalizedStep(torch.optim.SGD):
    """Divides by the norm of the whole gradient, which mixes replicas that are stacked."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad / parameter.grad.norm()


class HidesItsState(torch.optim.SGD):
    """Counts its steps where torch does not save them."""

    count = 0

    def step(self, closure=None):
        self.count += 1
        for parameter in self.param_groups[0]["params"]:
            parameter -= self.count * parameter.grad


class TakesAnything(torch.optim.SGD):
    """Swallows arguments that it does not know."""

    def __init__(self, params, lr, **others):
        super().__init__(params, lr)


class BranchesOnValues(torch.optim.SGD):
    """Steps only where its first entry is positive, which the other replicas would have to follow."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad.flatten()[0] > 0:
                    parameter -= group["lr"] * parameter.grad


class BranchesOnItsRate(NormalizedStep):
    """Steps only where its learning rate is large."""

    def step(self, closure=None):
        if self.param_groups[0]["lr"] > 0.005:
            super().step()


class ChangesItsRate(NormalizedStep):
    """Halves its learning rate at every step."""

    def step(self, closure=None):
        super().step()
        self.param_groups[0]["lr"] *= 0.5


class ChangesACopyOfItsRate(torch.optim.SGD):
    """Computes with its learning rate in place, which changes no number, but would change a tensor."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                rate = group["lr"]
                rate *= 0.5
                rate += 1e-3
                parameter.addcdiv_(parameter.grad, parameter.grad.norm(), value=-rate)


@pytest.mark.parametrize(
    ("cls", "together", "maps_lrs"),
    [
        (NormalizedStep, Together.MAPPED, True),
        (ChangesACopyOfItsRate, Together.MAPPED, True),
        (BranchesOnItsRate, Together.MAPPED, False),
        (ChangesItsRate, Together.MAPPED, False),
        (BranchesOnValues, Together.ALONE, False),
    ],
)
def test_mixing_is_found_by_trial(cls, together, maps_lrs):
    assert (make(cls, {}).trial.together, make(cls, {}).trial.maps_lrs) == (together, maps_lrs)
    start, steps = torch.zeros(len(LRS), SIZE), gradients(3)
    theta, _, _ = train(make(cls, {}), start, make(cls, {}).initial_state(start), steps)
    for row, lr in enumerate(LRS):
        assert torch.equal(theta[row], by_hand(cls, {}, lr, start[row], [each[row] for each in steps], draws=False))


@pytest.mark.parametrize(
    ("cls", "keys", "words"),
    [
        (torch.optim.LBFGS, {}, "needs a closure"),
        (torch.optim.SparseAdam, {}, "failed at a trial step: RuntimeError: SparseAdam does not support dense"),
        (HidesItsState, {}, "keeps something outside the state"),
        (TakesAnything, {"momentun": 0.9}, "has no argument momentun; it has lr"),
        (torch.optim.RMSprop, {"beta": 0.9}, "has no argument beta; it has lr, alpha, eps"),
        (torch.optim.RMSprop, {"alpha": -1.0}, "Invalid alpha"),
    ],
)
def test_what_cannot_train_replicas_is_refused(cls, keys, words):
    with pytest.raises(ValueError, match=words):
        make(cls, keys)


def test_a_file_alone_makes_an_optimizer_of_a_class_of_torch(tmp_path):
    (page,) = [text for text in blocks(ROOT / "docs/extending.md", "yaml") if "torch.optim.NAdam" in text]
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim/nadam.yaml").write_text(page)
    words = ["--config-dir", str(tmp_path), "-m", "optim=nadam", "optim.momentum_decay=0.1,0.2", "seed=0,1"]
    configs = make_plan(parse_request([*words, "task.sequence_length=6", "model.hidden_size=4"])).configs
    optimizer = build(configs).optimizer
    assert isinstance(optimizer, TorchOptimizer)
    assert optimizer.own["momentum_decay"].tolist() == [[0.1], [0.1], [0.2], [0.2]]
    assert optimizer._rows_of_groups(torch.zeros(4, 1), {}) == [[0, 1], [2, 3]]


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    (config,) = make_plan(parse_request(["optim=soap"])).configs
    with pytest.raises(ConfigError, match=r"pip install 'rnnbench\[optimizers\]' installs it$"):
        build([config])


NESTED = st.recursive(
    st.one_of(
        st.integers(-(2**53), 2**53),
        st.floats(),
        st.booleans(),
        st.none(),
        st.text(max_size=3),
        st.integers(1, 3).map(lambda size: torch.arange(float(size))),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(NESTED)
def test_a_nested_state_is_restored_from_its_tensors_and_its_form(state):
    again = restored(without_tensors(state), stored(state))
    assert repr(again) == repr(state)


@pytest.mark.slow
@pytest.mark.parametrize("optim", ["rmsprop", "soap", "schedule_free_adamw"])
def test_the_laws_of_optimizers_hold(optim, capsys):
    assert main(["check", f"optim={optim}"]) == 0, capsys.readouterr().out
