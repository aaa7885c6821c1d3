"""What Hessian-free on a module refuses: one line that says what to do, and nothing has changed."""

import functools

import pytest
import torch
from small_modules import LastStep, mlp, normal, parameters_of, problem, same

from rnnbench.config.errors import ConfigError
from rnnbench.modules.hessian_free import HessianFree

LOSS = torch.nn.MSELoss()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dampin": 1.0}, "there is no key dampin; did you mean damping"),
        ({"lambda_": 1.0}, "there is no key lambda_; did you mean damping?"),
        ({"wibble": 1.0}, "there is no key wibble; `rnnbench list optim hf` shows the keys"),
        ({"gradient_batch_size": 10}, r"gradient_batch_size is no key here: the batches are given to step\(\)"),
        ({"damping": -1}, "damping must be > 0 and <= 1e"),
        ({"damping": float("nan")}, "damping must be a finite number > 0 and <= 1e"),
        ({"damping": "big"}, "damping must be a number, got 'big'"),
        ({"damping": True}, "damping must be a number, got true"),
        ({"max_cg_iterations": 2.5}, "max_cg_iterations must be a whole number, got 2.5"),
        ({"backtracking": "walkback"}, "backtracking has no choice 'walkback'; did you mean walk_back?"),
    ],
)
def test_a_wrong_key_is_refused_in_one_line(keys, message):
    with pytest.raises(ConfigError, match=message) as caught:
        HessianFree(problem()[0], LOSS, **keys)
    assert "\n" not in str(caught.value)


def frozen():
    return mlp(3, 2).requires_grad_(False)


def half():
    return mlp(3, 2).half()


def mixed():
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 2).double())


def on_two_devices():
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 2, device="meta"))


@pytest.mark.parametrize(
    ("module", "loss", "keys", "message"),
    [
        (frozen(), LOSS, {}, "no trainable parameters"),
        (half(), LOSS, {}, "must be float32 or float64, got torch.float16"),
        (mixed(), LOSS, {}, "must have one dtype: 0.weight has torch.float32, 1.weight torch.float64"),
        (on_two_devices(), LOSS, {}, "must have one device: 0.weight has cpu, 1.weight meta"),
        (torch.nn.LazyLinear(2), LOSS, {}, "weight is not initialized: call the module once"),
        (mlp(3, 2), torch.nn.MSELoss(reduction="sum"), {}, "use reduction='mean', got 'sum'"),
        (mlp(3, 2), torch.nn.CTCLoss(reduction="none"), {}, "use reduction='mean', got 'none'"),
        (
            mlp(3, 2),
            functools.partial(torch.nn.functional.cross_entropy, reduction="sum"),
            {},
            "use reduction='mean', got 'sum'",
        ),
        (mlp(3, 2), "mse", {}, r"loss must be a function of \(outputs, targets\), got str 'mse'"),
        (mlp(3, 2), torch.nn.MSELoss, {}, r"got the class MSELoss: MSELoss\(\)?"),
        (torch.nn.Linear, LOSS, {}, "module must be an object, got the class Linear"),
        (mlp(3, 2).parameters(), LOSS, {}, "module must be a torch.nn.Module, got generator: give the module itself"),
        (3, LOSS, {}, "module must be a torch.nn.Module, got int 3"),
        (
            mlp(3, 2),
            LOSS,
            {"structural_damping": 0.1},
            r"let the module return \(outputs, states\)",
        ),
    ],
)
def test_a_module_or_loss_that_cannot_work_is_refused_at_once(module, loss, keys, message):
    with pytest.raises(ValueError, match=message):
        HessianFree(module, loss, **keys)


class Noisy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, inputs):
        return torch.nn.functional.dropout(self.linear(inputs), 0.5)


class Constant(Noisy):
    def forward(self, inputs):
        return inputs[:, :2]


def by_class(loss):
    return lambda outputs, targets: loss(outputs, (targets[:, 0] > 0).long())


class Pair(Noisy):
    def forward(self, inputs):
        return self.linear(inputs), inputs


def huber(outputs, targets):
    return torch.nn.functional.huber_loss(outputs, targets + 100)


def linear_loss(outputs, targets):
    return (outputs * targets).mean()


@pytest.mark.parametrize(
    ("module", "loss", "message"),
    [
        (torch.nn.Sequential(mlp(3, 2), torch.nn.BatchNorm1d(2)), LOSS, "changes its buffer 1.num_batches_tracked"),
        (torch.nn.Sequential(mlp(3, 2), torch.nn.Dropout()), LOSS, "draws random numbers"),
        (Noisy(), LOSS, "draws random numbers"),
        (Constant(), LOSS, "depends on none of the module's trainable parameters"),
        (mlp(3, 2), lambda outputs, targets: (outputs - targets).square(), r"got a tensor of shape \(20, 2\)"),
        (mlp(3, 2), lambda outputs, targets: 1.0, "must be a scalar tensor, .* got float"),
        (mlp(3, 2), lambda outputs, targets: (outputs > targets).sum(), r"got a tensor of shape \(\) and torch.int64"),
        (mlp(3, 2), linear_loss, "linear in what the module returns"),
        (mlp(3, 2), by_class(torch.nn.NLLLoss()), "CrossEntropyLoss of logits in place of NLLLoss"),
        (mlp(3, 2), torch.nn.L1Loss(), "MSELoss or a Huber loss .* in place of absolute errors"),
        (mlp(3, 2), lambda outputs, targets: (1 - outputs * targets).clamp(min=0).mean(), "linear in what the module"),
        (mlp(3, 2), huber, "a Huber loss with a larger delta"),
        (mlp(3, 2), by_class(torch.nn.MultiMarginLoss()), "the loss cannot be differentiated twice: derivative for"),
        (mlp(3, 2), lambda outputs: outputs.square().mean(), r"of \(outputs, targets\): TypeError: .*\(the module ret"),
        (
            mlp(3, 4),
            lambda outputs, targets: (outputs - targets).mean(),
            r"the module returned a tensor of shape \(20, 4\) and torch.float64, the targets are a tens",
        ),
        (Pair(), LOSS, r"returned a tuple of 2, .*if the module returns \(outputs, states\), pass returns_states=True"),
        (mlp(2, 2), LOSS, r"cannot be called with these inputs, a tensor of shape \(20, 3\) and torch.float64: mat1"),
    ],
)
def test_what_shows_only_in_a_step_is_refused_in_it(module, loss, message):
    module.double()
    before, (_, batch) = parameters_of(module), problem()
    buffers = [each.clone() for each in module.buffers()]
    with pytest.raises(ValueError, match=message) as caught:
        HessianFree(module, loss).step(batch)
    assert "\n" not in str(caught.value)
    assert same(parameters_of(module), before)
    assert same(module.buffers(), buffers)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "these inputs, None: TypeError: .*; give a tensor, or what its forward takes as its one argument"),
        (problem()[1][0].numpy(), "these inputs, numpy.ndarray: .*; give a tensor"),
        ((problem()[1][0],), "these inputs, a tuple of 1: TypeError"),
        ({"x": problem()[1][0]}, "these inputs, dict: TypeError"),
    ],
)
def test_inputs_that_the_module_does_not_take_are_refused(inputs, message):
    module, (right, targets) = problem()
    with pytest.raises(ValueError, match=message) as caught:
        HessianFree(module, LOSS).step((inputs, targets))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        HessianFree(module, LOSS).step((right, targets), (inputs, targets))


def test_targets_that_the_loss_does_not_take_are_refused():
    module, (inputs, targets) = problem()
    with pytest.raises(ValueError, match=r"the targets are numpy\.ndarray"):
        HessianFree(module, LOSS).step((inputs, targets.numpy()))


def test_a_loss_that_is_linear_on_a_later_batch_makes_a_step():
    """Only the first step tells whether the loss is a linear one."""
    module, (inputs, targets) = problem()
    optimizer = HessianFree(module, torch.nn.HuberLoss())
    assert optimizer.step((inputs, targets)).accepted
    assert optimizer.step((inputs, targets + 100)).accepted


def test_attention_runs_with_the_kernel_that_the_message_names():
    torch.manual_seed(0)
    module = torch.nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, batch_first=True)
    optimizer, batch = HessianFree(module, LOSS), (torch.randn(3, 5, 4), torch.randn(3, 5, 4))
    with pytest.raises(ValueError, match=r"torch.nn.attention.sdpa_kernel\(torch.nn.attention.SDPBackend.MATH\)"):
        optimizer.step(batch)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert optimizer.step(batch).accepted


def test_a_batch_that_cannot_work_is_refused():
    module, (inputs, targets) = problem()
    optimizer = HessianFree(module, LOSS)
    with pytest.raises(ValueError, match=r"gradient_batch must be a pair \(inputs, targets\), got Tensor"):
        optimizer.step(inputs)
    with pytest.raises(ValueError, match="the inputs of gradient_batch are on meta, but the module is on cpu"):
        optimizer.step((inputs.to("meta"), targets))
    with pytest.raises(ValueError, match="the targets of curvature_batch are on meta"):
        optimizer.step((inputs, targets), (inputs, targets.to("meta")))
    with pytest.raises(ValueError, match=r"the key line_search_batch is gradient, but step\(\) was given one"):
        optimizer.step((inputs, targets), line_search_batch=(inputs, targets))
    with pytest.raises(ValueError, match=r"the key backtracking_batch is fresh, so step\(\) needs one"):
        HessianFree(module, LOSS, backtracking_batch="fresh").step((inputs, targets))
    recurrent = LastStep(torch.nn.RNN, 2, 3, 1).double()
    with pytest.raises(ValueError, match="along the first dimension of all inputs and targets; its sizes are 4, 5"):
        HessianFree(recurrent, LOSS, preconditioner="diagonal").step((normal(4, 5, 2), normal(5, 1)))
    with pytest.raises(ValueError, match=r"must return \(outputs, states\), got Tensor"):
        HessianFree(module, LOSS, returns_states=True).step((inputs, targets))


def test_what_is_not_finite_is_refused_and_changes_nothing():
    module, (inputs, targets) = problem()
    before, optimizer = parameters_of(module), HessianFree(module, LOSS)
    state, bad = optimizer.state_dict(), torch.full_like(targets, torch.nan)
    with pytest.raises(FloatingPointError, match="the loss is not finite on the gradient batch: the parameters are un"):
        optimizer.step((inputs, bad))
    with pytest.raises(FloatingPointError, match="the gradient is not finite on the gradient batch"):
        HessianFree(module, lambda outputs, targets: (outputs - outputs.detach()).abs().sqrt().mean()).step(
            (inputs, targets)
        )
    with pytest.raises(FloatingPointError, match="the curvature is not finite on the curvature batch"):
        optimizer.step((inputs, targets), (inputs * torch.nan, targets))
    assert same(parameters_of(module), before)
    assert all(torch.equal(state[name], tensor) for name, tensor in optimizer.state_dict().items())


def test_the_state_of_another_module_is_refused():
    module, batch = problem()
    optimizer = HessianFree(module, LOSS)
    other = HessianFree(mlp(3, 5, 2).double(), LOSS).state_dict()
    with pytest.raises(ValueError, match=r"solution should be torch.float64 of shape \(1, 26\), is torch.float64"):
        optimizer.load_state_dict(other)
    with pytest.raises(ValueError, match=r"damping should be torch.float64 of shape \(1, 1\), is missing"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match=r"must be a dictionary from state_dict\(\), got None"):
        optimizer.load_state_dict(None)
    module.float()
    with pytest.raises(ValueError, match="make a new one, after moving the module"):
        optimizer.step(batch)
