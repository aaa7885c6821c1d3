import inspect
from dataclasses import fields

import pytest

from rnnbench.config.compose import Composer
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants
from rnnbench.config.request import Request
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.latch import Latch
from rnnbench.tasks.marked_operands import MarkedOperands
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.placement import percent_range, scaled_windows
from rnnbench.tasks.temporal_order import TemporalOrder
from rnnbench.tasks.xor import Xor

PAIRS = [(name, variant) for name in packaged_tasks() for variant in variants(name)]


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_the_smallest_length_is_accepted_and_one_less_refused(name, variant):
    build, smallest = packaged_tasks()[name], shortest(name, variant)
    assert build(smallest, variant).sequence_length == smallest
    with pytest.raises(
        ValueError, match=rf"^task\.sequence_length must be at least {smallest} .*{variant}.* {smallest - 1}$"
    ):
        build(smallest - 1, variant)


@pytest.mark.parametrize("name", packaged_tasks())
def test_a_variant_that_is_lacking_lists_those_there_are(name):
    with pytest.raises(ValueError, match=rf"^task\.variant: .* 'hf12'; it has {', '.join(variants(name))}$"):
        packaged_tasks()[name](100, "hf12")


@pytest.mark.parametrize("name", packaged_tasks())
def test_the_first_variant_is_the_default_and_hf11_where_it_exists(name):
    assert packaged_tasks()[name](100).variant == variants(name)[0]
    assert variants(name)[0] == "hf11" or "hf11" not in variants(name)


@pytest.mark.parametrize("name", packaged_tasks())
def test_constructors_have_the_defaults_of_the_schema(name):
    """Except the length, which a caller has to choose, and a default that follows from the net."""
    parameters = inspect.signature(packaged_tasks()[name].func).parameters
    with Composer(Request()) as composer:
        schema = type(composer.compose([f"task={name}"]).config.task)
    defaults = {field.name: field.default for field in fields(schema) if field.name in parameters}
    assert parameters.keys() == defaults.keys()
    for key, default in defaults.items():
        if key != "sequence_length" and not str(default).startswith("${"):
            assert parameters[key].default == default, key
    assert parameters["sequence_length"].default is inspect.Parameter.empty


@pytest.mark.parametrize("num_symbols", [1, 4, 0])
def test_a_number_of_symbols_that_is_not_defined_is_refused(num_symbols):
    with pytest.raises(ValueError, match=rf"^task\.num_symbols must be 2 or 3, got {num_symbols}$"):
        TemporalOrder(50, num_symbols=num_symbols)


@pytest.mark.parametrize(
    ("key", "value", "limit"), [("num_symbols", 1, 2), ("num_symbols", 0, 2), ("num_positions", 0, 1)]
)
def test_nothing_to_memorize_is_refused(key, value, limit):
    with pytest.raises(ValueError, match=rf"^task\.{key} must be at least {limit}, got {value}$"):
        Memorization(50, **{key: value})


def test_every_position_needs_its_steps():
    assert Memorization(21, num_positions=10).trigger_step == 10
    message = (
        r"^task\.sequence_length must be at least 21 for variant hf11 of Memorization with task.num_positions=10, got"
    )
    with pytest.raises(ValueError, match=message):
        Memorization(20, num_positions=10)
    assert Memorization(1, "pascanu13", num_positions=10).num_steps == 21
    assert Latch(11, num_positions=10).dependency == range(1, 11)
    with pytest.raises(ValueError, match=r"at least 11 for variant bengio94 of Latch with task\.num_positions=10, got"):
        Latch(10, num_positions=10)


def test_scaled_windows_at_the_publications_length():
    assert scaled_windows(100, [(1, 10), (10, 50)]) == (range(1, 10), range(10, 50))
    assert scaled_windows(200, [(1, 10), (40, 50)], inclusive=True) == (range(2, 21), range(80, 101))
    assert percent_range(55, 100, 110) == range(55, 60)


def test_scaled_windows_below_it():
    assert scaled_windows(50, [(1, 10), (10, 50)]) == (range(1, 5), range(5, 25))
    assert scaled_windows(6, [(1, 10), (10, 50)]) == (range(1, 2), range(2, 3))


@pytest.mark.parametrize("variant", TemporalOrder.variants)
@pytest.mark.parametrize("num_symbols", [2, 3])
def test_windows_of_temporal_order_are_disjoint_and_inside_at_any_length(variant, num_symbols):
    for sequence_length in [*range(TemporalOrder.smallest_length(variant), 130), 199, 200, 1000, 1001]:
        arrangement = TemporalOrder(sequence_length, variant, num_symbols).arrangement
        steps = [step for window in arrangement.windows for step in window]
        assert len(arrangement.windows) == num_symbols
        assert all(len(window) > 0 for window in arrangement.windows)
        assert steps == sorted(set(steps))
        assert steps[0] >= 1
        assert steps[-1] < arrangement.lengths[0] + (arrangement.trigger or 0)


def test_hf11_operands_keep_clear_of_the_cues_at_any_length():
    for sequence_length in [*range(6, 130), 199, 200, 1000, 1001]:
        first, second = scaled_windows(sequence_length, [(1, 10), (10, 50)])
        assert 1 <= first.start < first.stop <= second.start < second.stop
        assert second[-1] < sequence_length - 3
        assert Adding(sequence_length).places.lengths[0] == sequence_length + 1


def test_hf11_bits_of_xor_keep_clear_of_the_cues_at_any_length():
    for sequence_length in [*range(Xor.smallest_length("hf11"), 130), 199, 200, 1000, 1001]:
        first, second = scaled_windows(sequence_length, [(1, 10), (15, 25)])
        lengths = Xor(sequence_length).places.lengths
        assert 1 <= first.start < first.stop <= second.start < second.stop
        assert second[-1] < lengths[0] - 4
        assert lengths[0] == sequence_length // 2 + 1


def test_hf11_minimum_is_tight():
    _, second = scaled_windows(5, [(1, 10), (10, 50)])
    assert second[-1] == 5 - 3  # J would fall on the cue
    _, second = scaled_windows(11, [(1, 10), (15, 25)])
    assert second[-1] == 11 // 2 - 3


def test_an_abstract_task_is_not_built():
    with pytest.raises(TypeError):
        MarkedOperands(50)


def test_a_task_of_ones_own_may_extend_another():
    class Tripled(Adding):
        pass

    assert Tripled(50, "thesis").num_steps == Adding(50, "thesis").num_steps
