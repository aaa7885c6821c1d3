"""Which way a module is linearized."""

import pytest
import torch
from small_modules import LastStep, mlp, normal

from rnnbench.modules.linearization import DoubleBackward, ForwardMode, Linearizer
from rnnbench.modules.module_function import ModuleFunction


@pytest.mark.parametrize(
    ("module", "inputs", "expected"),
    [
        (mlp(3, 4, 2).double(), normal(5, 3), DoubleBackward),
        (LastStep(torch.nn.RNN, 2, 3, 1).double(), normal(50, 5, 2), ForwardMode),
        (LastStep(torch.nn.LSTM, 2, 3, 1), normal(50, 5, 2).float(), DoubleBackward),
    ],
    ids=["layers", "recurrent", "no forward derivatives"],
)
def test_the_way_follows_from_the_module(module, inputs, expected):
    function, linearizer = ModuleFunction(module), Linearizer()
    for _ in range(2):
        assert type(linearizer(lambda given: [function(given, inputs)], function.views(function.theta()))) is expected


def test_operations_are_counted_once():
    function = ModuleFunction(mlp(3, 4, 4, 2).double())
    parameters, inputs = function.views(function.theta()), normal(5, 3)
    linear = ForwardMode(lambda given: [function(given, inputs), function(given, inputs)], parameters, has_fused=True)
    assert linear.num_operations == 2 * (3 * 2 + 2)  # affine map and transposed weight thrice, tanh twice; two calls
