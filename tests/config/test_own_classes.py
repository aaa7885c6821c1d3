"""A class of one's own that lacks something is bad input: one line that names the class and what is missing."""

import functools
import itertools
import re
import sys
import textwrap

import pytest
import torch
from documents import own_code

from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.request import Request
from rnnbench.objective.engine import Engine
from rnnbench.run.setup import set_up
from rnnbench.training.problem import draw_parameters

IMPORTS = """
from dataclasses import dataclass
import torch
from torch import Tensor
from rnnbench.losses import Loss
from rnnbench.models.cell import Cell
from rnnbench.models.parameters import Parameter
from rnnbench.optim.base import Optimizer
from rnnbench.optim.first_order import FirstOrder
"""
CELL = """
class Own(Cell):
    def step_layout(self):
        n, d = self.hidden_size, self.input_size
        return {
            "U_f": Parameter((n, d), "input"),
            "W_f": Parameter((n, n), "recurrent"),
            "W_h": Parameter((2 * n, n), "recurrent"),
            "U_h": Parameter((n, d), "input"),
            "b": Parameter((n,), "bias"),
            "gain": Parameter((n,), scale=0.1, mean=1.0),
        }

    def step(self, parameters, state, inputs):
        (h,), p = state, parameters
        gate = torch.sigmoid(h @ p["W_f"].mT + inputs @ p["U_f"].mT)
        twice = (h @ p["W_h"].mT).chunk(2, -1)
        new = torch.tanh(twice[0] * gate + twice[1] + inputs @ p["U_h"].mT + p["b"].unsqueeze(1))
        return (p["gain"].unsqueeze(1) * new,)
"""
OPTIM = """
@dataclass(frozen=True, eq=False, kw_only=True)
class Own(FirstOrder):
    beta: float

    def initial_state(self, theta):
        return {"mean": torch.zeros_like(theta)}

    def step(self, gradient, theta, state, update):
        mean = self.beta * state["mean"] + gradient
        return -self.cast_like(theta).lr * mean, {"mean": mean}
"""


def of_the_page(choice):
    """The source of a class of docs/extending.md, under the name of the others."""
    return re.sub(r"class \w+", "class Own", own_code(choice))


FILES = {
    "task": (of_the_page("task/first_value"), "sequence_length: 6"),
    "model": (CELL, "hidden_size: 4"),
    "optim": (OPTIM, "lr: 0.1\nbeta: 0.9"),
    "init": (of_the_page("init/scaled_identity"), "factor: 0.9"),
    "probe": (of_the_page("probe/theta_norm"), ""),
}
SMALL = ("task.sequence_length=6", "model.hidden_size=4", "optim=sgd", "init=orthogonal", "threads=1")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Set up a run with a class of one's own in which something is changed."""
    folder, made = tmp_path_factory.mktemp("own"), itertools.count()
    sys.path.append(str(folder))
    for group, (_, keys) in FILES.items():
        settings = f"name: own\n_target_: never.Imported\n{keys}\n"
        (folder / group).mkdir()
        (folder / group / "own.yaml").write_text(
            f"own:\n{textwrap.indent(settings, '  ')}" if group == "probe" else settings
        )
    with Composer(Request(config_dir=folder)) as composer:

        @functools.cache
        def compose(group, words):
            kept = [word for word in SMALL if not word.startswith(f"{group}=")]
            return composer.compose([*kept, f"{group}=own", *words]).config

        def call(group, *changes, words=()):
            code, _ = FILES[group]
            for old, new in changes:
                assert old in code
                code = code.replace(old, new)
            name = f"own_{group}_{next(made)}"
            (folder / f"{name}.py").write_text(IMPORTS + code)
            config = compose(group, tuple(words))
            (config.probe["own"] if group == "probe" else getattr(config, group))._target_ = f"{name}.Own"
            return set_up([config])

        yield call
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.mark.parametrize("group", list(FILES))
def test_what_lacks_nothing_is_set_up(build, group):
    build(group)


@pytest.mark.parametrize("init", ["sparse", "gaussian", "orthogonal", "identity"])
def test_a_cell_of_any_names_serves_every_init_optimizer_and_probe(build, init):
    built = build("model", words=["optim=hf", "optim.structural_damping=0.1", "probe=all", f"init={init}"]).built
    theta = draw_parameters(built.model, built.inits, [0], Engine(built.model))
    assert torch.equal(built.model.recurrent_weight(theta), built.model.parameters(theta)["W_h"][:, 4:])


WRONG = {
    "task": {
        'loss = "squared_error"': ("pass", "task: Own has no attribute loss (name of a loss in"),
        "baseline_loss = 1 / 12": ("pass", "task: Own has no attribute baseline_loss (loss of the best predictor that"),
        "input_size = 1": (
            "pass",
            "task: Own has no attribute input_size (number of inputs d)",
        ),
        "self.num_steps = sequence_length": ("pass", "task: Own has no attribute num_steps (T, the length of"),
        '"squared_error"': ('"mse"', "task: Own.loss must be one of squared_error, softmax_cross_entropy, sigmoid_"),
        "1 / 12": ("torch.tensor(1 / 12)", "task: Own.baseline_loss must be a number, got tensor(0.0833)"),
        "= 0.92\n": ("= 92\n", "task: Own.baseline_error_rate must be in [0, 1], got 92"),
        "inputs[:1].clone()": (
            "inputs[0].clone()",
            "task: Own.draw must return targets (num_outputs, R, B, output_size) of ",
        ),
        "dtype=draw.dtype": (
            "dtype=torch.float64",
            "task: Own.draw must return inputs (T, R, B, input_size) of shape (6, ",
        ),
        "(lengths - 1)": ("lengths", "task: Own.draw must return output_steps in [0, num_steps) = [0, 6)"),
        "~((outputs - batch.targets).abs()[0, :, :, 0] <= 0.04)": (
            "(outputs - batch.targets)[0, :, :, 0]",
            "task: Own.misses must return (R, B) of shape (1, 3) and type torch.bool, got (1, 3) of",
        ),
        "draw.words": ("draw.wrds", "task: AttributeError: 'Draw' object has no attribute 'wrds' ("),
    },
    "model": {
        'Parameter((n, n), "recurrent")': (
            "(n, n)",
            'model: W_f must be a Parameter, as in Parameter((n, n), "recurrent")',
        ),
        '(n, d), "input"': (
            '(n, d), "inputs"',
            "model: U_f: kind must be one of input, recurrent, bias, decay, phase, own, initial_",
        ),
        "(2 * n, n)": (
            "(n, 2 * n)",
            "model: W_h: recurrent weights must be stacked square blocks, (k n, n) with n = 4, got",
        ),
        "scale=0.1, ": (
            "",
            'model: gain: a parameter of kind "own" needs its standard deviation, scale >= 0, got None',
        ),
        '"b": ': ('"bias_out": ', "model: every cell has bias_out already; give the parameter of step another name"),
        '(n,), "bias"': (
            '(n,), "readout"',
            "model: b: kind must be one of input, recurrent, bias, decay, phase, own, got 'readout'",
        ),
        '(n,), "': ('(n), "', "model: b: shape must be a tuple of sizes >= 1, as in (n, n) or (n,), got 4"),
        'return (p["gain"].unsqueeze(1) * new,)': (
            "return new",
            "model: Own.step must return a tuple of one tensor, as in ",
        ),
        "* new,)": ("* new.sum(-1),)", "model: RuntimeError: The size of tensor a"),
        "unsqueeze(1) * new": (
            "unsqueeze(1) * new.double()",
            "model: Own.step must return tensors (replicas, sequences, n) = (2",
        ),
        'p["W_f"]': ('p["W_x"]', "model: KeyError: 'W_x' ("),
    },
    "optim": {
        "@dataclass(frozen=True, eq=False, kw_only=True)\n": (
            "",
            "write @dataclass(frozen=True, kw_only=True) above class Own",
        ),
        "torch.zeros_like(theta)": (
            "torch.zeros(3)",
            "optim: Own.initial_state must return state tensors (R, ...), got mean",
        ),
        '{"mean": mean}': ('{"other": mean}', "optim: Own.update must keep names, shapes and types of the state, but"),
        "return -self.cast_like(theta).lr * mean": (
            "return -self.lr * mean",
            "optim: Own.update must return theta (R, P) of shape (1, ",
        ),
        'state["mean"] + gradient': (
            'state["mean"].add_(1)',
            "optim: Own.update must return new tensors, but has changed ",
        ),
        "self.beta *": ("self.gamma *", "optim: AttributeError: 'Own' object has no attribute 'gamma' ("),
    },
    "init": {
        ", dtype=torch.float64": (
            "",
            "init: Own.recurrent_block must return (4, 4) of torch.float64, got (4, 4) of torch.f",
        ),
        "self.factor": ("1 / 0", "init: ZeroDivisionError: division by zero ("),
    },
    "probe": {
        "metrics = ": (
            "numbers = ",
            "probe.own: Own has no attribute metrics",
        ),
        'Reading({"theta/norm"': (
            'Reading({"theta/other"',
            "probe.own: Own.capture reads theta/other, which is not among its ",
        ),
        "norm(dim=1)": (
            "norm()",
            "probe.own: Own.capture must return theta/norm of shape (1,) and type floating point, got ()",
        ),
    },
}


@pytest.mark.parametrize(
    ("group", "old", "new", "message"),
    [(group, old, *rest) for group, cases in WRONG.items() for old, rest in cases.items()],
)
def test_what_is_wrong_is_one_line_before_any_folder(build, group, old, new, message):
    with pytest.raises(ConfigError) as caught:
        build(group, (old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 330


OWN_LOSS = """
class Absolute(Loss):
    def values(self, outputs, targets):
        return (outputs - targets).abs().sum(-1)

    def gradient(self, outputs, targets):
        return (outputs - targets).sign()

"""


def test_a_loss_of_its_own(build):
    changed = ("class Own", OWN_LOSS + "class Own"), ('"squared_error"', "Absolute()")
    build("task", *changed)
    with pytest.raises(ConfigError, match="optim: the loss Absolute has no hessian_product"):
        build("task", *changed, words=["optim=hf"])
    with pytest.raises(ConfigError, match=r"^task: Absolute.values must return \(num_outputs, R, B\) = \(1, 1, 3\)"):
        build("task", *changed, (".abs().sum(-1)", ".abs()"))
