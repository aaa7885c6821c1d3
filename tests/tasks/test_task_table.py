from pathlib import Path

import pytest

from rnnbench.tasks.table import TASKS, describe_tasks, main, markdown, shortest, variants
from rnnbench.tasks.variants import MINIMUM_LENGTHS

REPOSITORY = Path(__file__).parents[2]


def test_the_page_is_the_one_that_the_code_makes() -> None:
    assert (REPOSITORY / "docs" / "tasks.md").read_text() == markdown(), (
        "run python -m rnnbench.tasks.table > docs/tasks.md"
    )


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == markdown()


def test_there_is_a_row_for_every_task_and_variant() -> None:
    rows = describe_tasks()
    assert {row.task for row in rows} == set(TASKS)
    numbers = {name: len(variants) for name, variants in MINIMUM_LENGTHS.items()}
    used_twice = ("TemporalOrder", "Memorization")
    assert len(rows) == sum(numbers.values()) + sum(numbers[name] for name in used_twice)
    assert len({(row.task, row.variant) for row in rows}) == len(rows)


def test_a_row_has_the_numbers_of_its_length() -> None:
    row = next(row for row in describe_tasks(50) if (row.task, row.variant) == ("adding", "hf11"))
    assert row.description.lengths == "50..54"
    assert row.description.places == "I in 1..4, J in 5..24, cue at 0, cue at L - 3"
    assert row.baseline_loss == pytest.approx(1 / 6)
    assert row.minimum_length == 6
    assert row.num_outputs == 1


@pytest.mark.parametrize("name", TASKS)
def test_the_shortest_length_of_a_row_is_tight(name: str) -> None:
    for variant in variants(name):
        minimum = shortest(name, variant)
        TASKS[name](minimum, variant)
        with pytest.raises(ValueError, match=rf"^task\.sequence_length must be at least {minimum} "):
            TASKS[name](minimum - 1, variant)


def test_a_length_too_small_for_a_variant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.sequence_length"):
        describe_tasks(9)
