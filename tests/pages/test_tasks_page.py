from pathlib import Path

import pytest

from docs.make.__main__ import PAGES, main
from docs.make.tasks import markdown
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants

REPOSITORY = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    assert (REPOSITORY / "docs" / "tasks.md").read_text() == markdown(), "run python -m docs.make tasks"


def test_the_command_writes_the_page(tmp_path, capsys):
    assert main(["tasks", "--docs", str(tmp_path)]) == 0
    assert (tmp_path / "tasks.md").read_text() == markdown()
    assert capsys.readouterr().out == f"{tmp_path / 'tasks.md'}\n"


def test_a_page_that_does_not_exist_is_one_line(tmp_path, capsys):
    assert main(["tasks", "taks", "--docs", str(tmp_path)]) == 2
    expected = f"docs.make: there is no page 'taks' to make; the pages are {', '.join(PAGES)}\n"
    assert capsys.readouterr().err == expected
    assert list(tmp_path.iterdir()) == []


def rows_of(page, task):
    """The cells of a task's table by variant."""
    lines = page.partition(f"\n## {task} at ")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line[:2] == "| "]
    return {row[0]: row[1:] for row in cells[2:]}


@pytest.mark.parametrize("task", packaged_tasks())
def test_there_is_a_row_for_every_variant(task):
    assert list(rows_of(markdown(), task)) == list(variants(task))


def test_a_row_has_the_numbers_of_its_length():
    row = rows_of(markdown(200), "adding")["hf11"]
    assert row[:2] == ["6", "201..220"]
    assert row[3] == "I in 2..19, J in 20..99, cue at 0, cue at L - 4"
    assert (row[5], row[8]) == ("1", "0.1667")


@pytest.mark.parametrize("name", packaged_tasks())
def test_the_shortest_length_of_a_row_is_tight(name):
    for variant in variants(name):
        minimum = shortest(name, variant)
        packaged_tasks()[name](minimum, variant)
        with pytest.raises(ValueError, match=rf"^task\.sequence_length must be at least {minimum} "):
            packaged_tasks()[name](minimum - 1, variant)


def test_a_length_too_small_for_a_variant_is_refused():
    with pytest.raises(ValueError, match=r"task\.sequence_length"):
        markdown(9)
