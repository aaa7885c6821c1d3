"""docs/optimizers.md from records that are not complete."""

import json
import math
from pathlib import Path

import pytest

from docs.make import optimizers, optimizers_against_length
from docs.make.errors import PageError
from rnnbench.config.errors import ConfigError
from rnnbench.config.rule import load_rule
from rnnbench.experiments.lightbench import LightBench
from rnnbench.experiments.optimizer_map import Tuned
from rnnbench.experiments.optimizers_2026 import Optimizers2026

EXPERIMENT = Optimizers2026(load_rule("optimizers_2026"))
LIGHTBENCH = LightBench(load_rule("lightbench"))
CHECKOUT = Path(__file__).resolve().parents[2]
FIRST = next(iter(EXPERIMENT.problems))
AMOUNTS = [1000.0, 3000.0, None, 2000.0]


def record(optimizer, problem, solved_after, microseconds=1.0, experiment=EXPERIMENT):
    words = experiment.tunings[experiment.part_name(optimizer, problem)]
    numbers = {"solving": [2], "trials": 16, "best": {"optim.lr": 0.1}, "seconds_per_sequence": 1e-6 * microseconds}
    return {"words": words, **numbers, "solved_after": solved_after}


def write(folder, *records, experiment=EXPERIMENT):
    parts = folder / "reproductions" / experiment.rule.name / "parts"
    parts.mkdir(parents=True)
    for optimizer, problem, *rest in records:
        contents = json.dumps(record(optimizer, problem, *rest, experiment=experiment))
        (parts / f"{experiment.part_name(optimizer, problem)}.json").write_text(contents)
    return parts


def test_the_cost_is_the_median_and_the_share_within_some_seconds_is_that_of_the_sequences():
    tuned = Tuned.of(record("adam", FIRST, AMOUNTS, 2.0))
    assert (tuned.solved, tuned.runs, tuned.is_solved) == (3, 4, True)
    assert (tuned.cost("sequences"), tuned.cost("seconds")) == (2000, pytest.approx(4e-3))
    assert [tuned.solved_within(seconds) for seconds in (1e-3, 2e-3, 4e-3, 1.0)] == [0, 1, 2, 3]
    assert Tuned.of(record("adam", FIRST, [1000, None, None])).cost("sequences") == math.inf


def test_every_problem_is_tuned_by_every_optimizer_the_easiest_problems_first():
    settings = EXPERIMENT.rule.settings
    tasks = {model: settings[model] for model in ("rnn", "lstm")}
    count = sum(len(settings["lengths"][task]) for each in tasks.values() for task in each)
    assert len(EXPERIMENT.problems) == count
    assert len(EXPERIMENT.parts) == count * len(settings["optimizers"])
    easiest = [settings["lengths"][task][0] for each in tasks.values() for task in each]
    first = [int(name.removesuffix("_lstm").rpartition("_")[2]) for name in list(EXPERIMENT.problems)[: len(easiest)]]
    assert sorted(first) == sorted(easiest)


def test_what_was_not_tried_is_marked_apart_from_what_failed(tmp_path):
    write(tmp_path, ("adam", FIRST, AMOUNTS), ("sgd", FIRST, [None] * 4), ("muon", FIRST, AMOUNTS, 150.0))
    made = optimizers.pages(tmp_path, tmp_path / "docs")
    page = made[tmp_path / "docs/optimizers.md"]
    assert f"**This is a part of the map: 3 of {len(EXPERIMENT.parts)} tunings**" in page
    names = EXPERIMENT.rule.settings["optimizers"]
    tables = [line.split(" | ") for line in page.splitlines() if line.startswith(f"| {FIRST} | ")]
    found = dict(zip(names, [cell.strip(" |") for cell in tables[0][1:]], strict=True))
    assert (found["adam"], found["sgd"], found["hf"]) == ("3 of 4", "0 of 4", "not tried")
    seconds = dict(zip(names, [cell.strip(" |") for cell in tables[2][2:]], strict=True))
    assert (seconds["adam"], seconds["muon"]) == ("3 of 4 (1)", "1 of 4 (150)")  # 200,000 sequences of adam: 0.2 s
    assert b"not tried" in made[tmp_path / "docs/images/optimizers_map.svg"].encode()


def test_the_rows_of_lightbench_are_those_of_the_map_and_of_running_parity(tmp_path):
    write(tmp_path, ("adam", "parity_8", AMOUNTS), ("sgd", "parity_8", [None] * 4))
    assert "LightBench" not in optimizers.pages(tmp_path, tmp_path)[tmp_path / "optimizers.md"]
    write(tmp_path, ("nag", "running_parity_12", AMOUNTS), experiment=LIGHTBENCH)
    page = optimizers.pages(tmp_path, tmp_path)[tmp_path / "optimizers.md"]
    rows = [line.strip("| ").split(" | ") for line in page.partition("## LightBench's rows")[2].splitlines()]
    found = {row[0]: row[1:4] + row[4:6] for row in rows if len(row) > 4}
    assert found["parity_8"] == ["13 of 27", "1 of 2", "0 of 4", "not tried", "3 of 4"]
    assert found["running_parity_12"] == ["9 of 27", "1 of 1", "not tried", "3 of 4", "not tried"]
    assert found["running_parity_14"][:2] == ["8 of 27", "not tried"]


def test_the_section_on_lengths_has_solved_seeds_medians_and_reasons(tmp_path):
    cells = [
        {"length": 20, "solved_after": [1000, 3000, None, 2000], "seconds_per_sequence": 2e-6},
        {"length": 50, "solved_after": [1000, None, None, None], "seconds_per_sequence": 5e-6},
        {"length": 100, "solved_after": [None] * 4, "seconds_per_sequence": None},
    ]
    assert optimizers_against_length.section(tmp_path) is None
    parts = tmp_path / "reproductions/optimizers_against_length/parts"
    parts.mkdir(parents=True)
    path = parts / "adding_by_nag_pilot.json"
    path.write_text(json.dumps({"key": "optim.lr", "value": 0.01}))
    for cell in cells:
        (parts / f"adding_by_nag_{cell['length']}.json").write_text(json.dumps(cell))
    text, picture = optimizers_against_length.section(tmp_path)
    row = "| adding | nag | `optim.lr=0.01` | 3 of 4, 2,000 (2 us) | 1 of 4, - (5 us) | 0 of 4 | none shorter |"
    assert row in text.splitlines()
    assert "**This is a part of the map**: 1 of 20 pairs" in text
    assert b"none shorter" in picture
    path.write_text("{}")
    with pytest.raises(PageError, match="is damaged"):
        optimizers_against_length.section(tmp_path)


def test_the_page_is_the_one_that_the_records_make():
    page = CHECKOUT / "docs/optimizers.md"
    made = optimizers.pages(CHECKOUT / "results", CHECKOUT / "docs")
    assert page.read_text(encoding="utf-8") == made[page], "run python -m docs.make optimizers"


def test_no_records_make_no_page_and_others_are_refused(tmp_path):
    assert optimizers.pages(tmp_path, tmp_path) == {}
    parts = write(tmp_path, ("adam", FIRST, AMOUNTS))
    path = parts / f"{EXPERIMENT.part_name('adam', FIRST)}.json"
    path.write_text(path.read_text().replace("seed=0", "seed=1"))
    with pytest.raises(ConfigError, match="is of a tuning with seed=1 and not seed=0; remove it"):
        optimizers.pages(tmp_path, tmp_path)
    for text in ("{}", "[]", "{"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="is damaged"):
            optimizers.pages(tmp_path, tmp_path)
