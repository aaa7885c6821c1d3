"""Shares of the machine's peak count the matrix products of every implementation, and nothing else."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.bench import peak
from rnnbench.bench.case import INPUT_SIZE, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.peak import large_product, large_product_flops, matrix_flops, share_of_peak
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn

SHAPE = Shape(2, 3, 40, 50)


def counted(net):
    """Flops of the products in a loss and its gradient by autograd, with those of the inputs and the readout."""
    case = make_case(SHAPE, net)
    parameters = {name: value.requires_grad_() for name, value in case.model.parameters(case.theta).items()}
    state = case.model.initial_state(parameters, SHAPE.sequences)
    with FlopCounterMode(display=False) as counter:
        for inputs in case.batch.inputs:
            state = case.model.step(parameters, state, inputs)
        state[0].sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(("net", "blocks"), [(SimpleRnn, 1), (Lstm, 4), (Gru, 3)])
def test_flops_of_a_gradient_are_those_that_autograd_counts(net, blocks):
    replicas, sequences, steps, units = SHAPE
    of_biases = 2 * (2 * replicas * sequences * steps * blocks * units)  # autograd adds them, without a product
    assert matrix_flops("gradient", SHAPE, blocks) - of_biases == pytest.approx(counted(net), rel=0.02)


def test_a_product_counts_two_more_products_than_its_forward_sweep():
    replicas, sequences, steps, units = SHAPE
    row = units + INPUT_SIZE + 1
    of_row, of_state = (2 * replicas * sequences * steps * units * columns for columns in (row, units))
    assert matrix_flops("linearization", SHAPE) == of_row
    assert matrix_flops("gradient", SHAPE) == 2 * of_row + of_state
    assert matrix_flops("product", SHAPE) == 2 * of_row + 2 * of_state


def test_the_large_product_has_a_share_of_one(monkeypatch):
    monkeypatch.setattr(peak, "SIZE", 8)
    for threads in (1, 2):
        made = large_product(threads)
        made.run()
        made.close()
        flops = large_product_flops(threads)
        assert flops == 2 * 8**3 * threads
        assert share_of_peak(flops, [1.0, 2.0], [1.0, 2.0], threads).median == 1.0
        assert share_of_peak(flops // 2, [2.0, 4.0], [1.0, 2.0], threads).median == 0.25
