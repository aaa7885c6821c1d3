import csv
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from recorded_runs import read, write_run, write_sweep

from rnnbench.reports import drawing
from rnnbench.reports.chart import select_drawn, series
from rnnbench.reports.curve_charts import MAX_PLACES, make_band
from rnnbench.reports.figures import make_charts
from rnnbench.reports.files import prepare, write
from rnnbench.reports.groups import make_groups
from rnnbench.reports.heat_map import heat_maps
from rnnbench.reports.survival_chart import survival_charts

CURVES = [f"{what}_against_{x}" for what in ("loss", "error_rate") for x in ("updates", "sequences", "seconds")]


def charts(runs, names=()):
    return {chart.name: chart for chart in make_charts(runs, make_groups(runs, names), list(names))}


def numbers(chart):
    return [dict(zip(chart.columns, row, strict=True)) for row in chart.rows]


def test_only_figures_that_the_data_have(tmp_path, painted):
    write_run(tmp_path / "a/0", seed=0)
    assert list(charts(read(tmp_path / "a"))) == ["not_yet_solved", *CURVES]
    write_run(tmp_path / "b/0", status="running", updates=0, evaluations=[])
    assert list(charts(read(tmp_path / "b"))) == []
    write_sweep(tmp_path / "c")
    assert list(charts(read(tmp_path / "c"), ["optim.name", "optim.lr"])) == [
        "share_solved_over_optim_name_and_optim_lr",
        "success_against_optim_lr",
        "not_yet_solved",
        "learning_rate_sensitivity",
        *CURVES,
    ]


def test_success_and_heat_map_count_the_runs(tmp_path, painted):
    write_sweep(tmp_path)
    names = ["optim.name", "optim.lr", "task.sequence_length"]
    found = charts(read(tmp_path), names)
    rows = numbers(found["success_against_optim_lr"])
    counts = {(row["group"], row["optim.lr"]): (row["solved"], row["runs"], row["share_solved"]) for row in rows}
    assert len(counts) == 8
    assert counts["nag, sequence_length=50", 0.1] == (2, 2, 1)
    assert counts["nag, sequence_length=50", 0.001] == (0, 2, 0)
    assert counts["sgd, sequence_length=20", 0.1] == (1, 2, 0.5)
    found = charts(read(tmp_path), ["optim.name", "optim.lr", "seed"])
    rows = numbers(found["share_solved_over_optim_name_and_optim_lr"])
    assert [(row["optim.name"], row["optim.lr"], row["solved"], row["runs"]) for row in rows] == [
        ("nag", "0.001", 1, 4),
        ("nag", "0.1", 4, 4),
        ("sgd", "0.001", 1, 4),
        ("sgd", "0.1", 1, 4),
    ]
    assert "combined" in found["share_solved_over_optim_name_and_optim_lr"].caption


def test_sensitivity_to_the_learning_rate(tmp_path, painted):
    for number, (lr, loss, status) in enumerate(
        [(0.1, 0.3, "budget"), (0.1, 0.1, "budget"), (0.1, 0.2, "budget"), (1.0, 0.2, "diverged"), (1.0, 5, "budget")]
    ):
        write_run(tmp_path / str(number), optim__lr=lr, status=status, evaluations=[(0, loss, 1.0)])
    chart = charts(read(tmp_path), ["optim.lr"])["learning_rate_sensitivity"]
    first, second, constant = numbers(chart)
    assert (first["median_loss"], first["quantile_10"], first["quantile_90"]) == (0.2, 0.1, 0.3)
    assert (second["median_loss"], second["quantile_90"], second["diverged"], second["runs"]) == (5, math.inf, 1, 2)
    assert constant["median_loss"] == pytest.approx(1 / 6)


def test_not_yet_solved(tmp_path, painted):
    for number, at in enumerate([30, 10, None]):
        write_run(tmp_path / str(number), solved_at=at)
    write_run(tmp_path / "3", status="running", updates=20, evaluations=[(0, 1.0, 1.0), (20, 0.5, 1.0)])
    write_run(tmp_path / "4", status="diverged", updates=120)
    rows = charts(read(tmp_path))["not_yet_solved"].rows
    steps = [row[2:] for row in rows if row[1] == "estimate"]
    # 5 at risk at 100 sequences; 3 at 300, since one is only known until 200
    assert [x for x, _ in steps] == [0, 100, 300, 1200]
    assert [y for _, y in steps] == pytest.approx([1, 4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3])
    marks = [row[2:] for row in rows if row[1] == "ended unsolved"]
    assert marks == [(200, pytest.approx(4 / 5)), (1000, pytest.approx(8 / 15))]


def test_bands_keep_the_last_value_of_runs_that_ended(tmp_path):
    write_run(tmp_path / "0", evaluations=[(0, 1.0, 1.0), (10, 0.5, 0.9), (20, 0.4, 0.8)], updates=20)
    write_run(tmp_path / "1", evaluations=[(0, 2.0, 1.0), (10, 0.1, 0.0)], updates=10, status="solved", solved_at=10)
    write_run(tmp_path / "2", evaluations=[(0, 3.0, 1.0)], updates=15, status="diverged")
    (group,) = make_groups(read(tmp_path), [])
    band = make_band(group, "loss", "updates")
    assert band.num_runs == 3
    assert band.x.tolist() == [0, 10, 15, 20]
    assert band.low.tolist() == [1, 0.1, 0.1, 0.1]
    assert band.median.tolist() == [2, 0.5, 0.5, 0.4]
    assert band.high.tolist() == [3, 3, math.inf, math.inf]
    assert make_band(group, "error_rate", "seconds").high.tolist() == [1, 1, 1, 1]


def test_bands_have_few_places(tmp_path):
    for number in range(3):
        evaluations = [(update, 1 / (update + 1), 1.0) for update in range(number, 1000, 3)]
        write_run(tmp_path / str(number), evaluations=evaluations)
    band = make_band(make_groups(read(tmp_path), [])[0], "loss", "updates")
    assert len(band.x) == MAX_PLACES
    assert np.all(np.diff(band.x) > 0)


def test_a_missing_curve_leaves_the_others(tmp_path):
    write_run(tmp_path / "0", evaluations=[(0, 1.0, 1.0), (100, 0.3, 0.9)])
    write_run(tmp_path / "1", evaluations=[])
    (group,) = make_groups(read(tmp_path), [])
    assert make_band(group, "loss", "updates").num_runs == 1


def test_all_diverged_at_once(tmp_path, painted):
    write_run(tmp_path / "0", status="diverged", updates=1, evaluations=[(0, math.inf, 1.0)], optim__lr=1.0)
    write_run(tmp_path / "1", status="diverged", updates=0, evaluations=[(0, math.nan, 1.0)], optim__lr=2.0)
    found = charts(read(tmp_path), ["optim.lr"])
    assert "learning_rate_sensitivity" not in found
    assert set(CURVES) < set(found)


def test_too_many_groups_are_the_best_or_taken_together(tmp_path):
    for number in range(10):
        solved = {"status": "solved", "solved_at": 10 + number} if number % 2 else {}
        write_run(tmp_path / str(number), model__hidden_size=number + 1, **solved)
    runs = read(tmp_path)
    kept, note = select_drawn(make_groups(runs, ["model.hidden_size"]))
    assert [group.values[0] for group in kept] == [1, 2, 3, 4, 5, 6, 8, 10]
    assert "8 of 10 groups are drawn, the best;" in note
    lines, note = series(runs, ["model.hidden_size"])
    assert len(lines) == 1
    assert "combined" in note


def test_the_groups_that_are_drawn_are_not_those_of_the_easiest_task_alone(tmp_path):
    for number in range(20):
        length, rate = divmod(number, 10)
        solved = {"status": "solved", "solved_at": 10 + rate} if length == 0 else {}
        evaluations = [(0, 1 / (1 + rate), 1.0)]
        write_run(
            tmp_path / str(number),
            task__sequence_length=length,
            optim__lr=float(rate),
            evaluations=evaluations,
            **solved,
        )
    kept, note = select_drawn(make_groups(read(tmp_path), ["task.sequence_length", "optim.lr"]))
    assert [group.values for group in kept] == [
        *((0, rate) for rate in range(4)),
        *((1, rate) for rate in range(6, 10)),
    ]
    assert "the best of each variant of the task" in note


def test_heat_maps_of_settings_keep_the_tasks_apart(tmp_path, painted):
    for number in range(24):
        length, rate, momentum = number % 2, number // 2 % 2, number // 4 % 2
        solved = {"status": "solved", "solved_at": 10} if length and momentum else {}
        write_run(
            tmp_path / str(number),
            task__sequence_length=length,
            optim__lr=float(rate),
            optim__momentum=momentum / 2,
            **solved,
        )
    names = ["task.sequence_length", "optim.lr", "optim.momentum"]
    maps = {chart.name: chart for chart in heat_maps(read(tmp_path), names)}
    assert list(maps) == [
        "share_solved_over_optim_lr_and_optim_momentum_sequence_length_0",
        "share_solved_over_optim_lr_and_optim_momentum_sequence_length_1",
        "share_solved_over_task_sequence_length_and_optim_lr",
        "share_solved_over_task_sequence_length_and_optim_momentum",
    ]
    easy, hard, *together = maps.values()
    assert [row[2] for row in easy.rows] == [0, 0, 0, 0]
    assert [row[2] for row in hard.rows] == [0, 1, 0, 1]
    assert "combined" not in easy.caption
    assert all("combined" in chart.caption for chart in together)
    assert hard.title.endswith(", sequence_length=1")


def test_files_hold_the_numbers_that_are_drawn(tmp_path, painted):
    write_sweep(tmp_path / "runs")
    found = charts(read(tmp_path / "runs"), ["optim.name", "optim.lr"])
    prepare(tmp_path / "report")
    write(tmp_path / "report", "", list(found.values()))
    for chart in found.values():
        with open(tmp_path / "report/figures" / f"{chart.name}.csv", newline="") as handle:
            columns, *rows = csv.reader(handle)
        assert tuple(columns) == chart.columns
        assert rows == [["" if cell is None else str(cell) for cell in row] for row in chart.rows]
        assert (tmp_path / "report/figures" / f"{chart.name}.svg").read_text() == chart.svg
    names = list(found)
    lines = painted[names.index("success_against_optim_lr")].get_lines()
    shares = [share for line in lines for share in line.get_ydata()]
    assert shares == [row["share_solved"] for row in numbers(found["success_against_optim_lr"])]
    cells = painted[names.index("share_solved_over_optim_name_and_optim_lr")].collections[0].get_array()
    assert cells.ravel().tolist() == [0.25, 1, 0.25, 0.25]
    lines = painted[names.index("loss_against_sequences")].get_lines()
    points = [point for line in lines[:-1] for point in zip(*line.get_data(), strict=True)]
    rows = numbers(found["loss_against_sequences"])
    assert points == [(row["sequences"], row["median"]) for row in rows[:-1]]
    assert set(lines[-1].get_ydata()) == {rows[-1]["median"]}


def test_figures_of_an_earlier_page_are_removed(tmp_path):
    prepare(tmp_path)
    for name in ("old.csv", "old.svg", "mine.svg"):
        (tmp_path / "figures" / name).write_text("")
    (tmp_path / "index.html").write_text('<a href="figures/old.csv"> <a href="figures/old.svg"> "figures/../x.svg"')
    write(tmp_path, "new", [])
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.svg"]
    assert (tmp_path / "index.html").read_text() == "new"


def test_pictures_are_the_same_every_time_and_bear_no_date(tmp_path):
    write_sweep(tmp_path)
    groups = make_groups(read(tmp_path), ["optim.lr"])
    first, second = (next(survival_charts(groups)).svg for _ in range(2))
    assert first == second
    assert "<metadata>" not in first
    assert not re.search(r"20\d\d-\d\d", first)
    ElementTree.fromstring(first)


def test_dollars_in_names_are_no_formulas(tmp_path):
    for name in ("a$b$c", "$\\frac$"):
        for lr in (0.1, 0.2):
            write_run(tmp_path / f"{len(name)}{lr}", task__name=name, optim__lr=lr)
    runs, names = read(tmp_path), ["task.name", "optim.lr"]
    for chart in (next(survival_charts(make_groups(runs, names))), next(heat_maps(runs, names))):
        texts = "".join(ElementTree.fromstring(chart.svg).itertext())
        assert "a$b$c" in texts
        assert "$\\frac$" in texts


def test_amounts_far_apart_get_a_logarithmic_axis():
    assert drawing.is_wide([1, 30])
    assert not drawing.is_wide([1, 10])
    assert not drawing.is_wide([0, 100])
    assert not drawing.is_wide([])
