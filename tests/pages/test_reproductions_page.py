"""docs/reproductions.md is what the records make of it."""

import re
from dataclasses import replace

import pytest

from docs.make.__main__ import CHECKOUT
from docs.make.reproductions import RECORDS, markdown
from rnnbench.config.rule import WORDING, load_rule
from rnnbench.experiments.result import Result, read_result, write_result
from rnnbench.experiments.verdict import Finding


def test_the_page_is_the_one_that_the_records_make():
    page = (CHECKOUT / "docs/reproductions.md").read_text(encoding="utf-8")
    assert page == markdown(CHECKOUT / "results" / RECORDS), "run python -m docs.make reproductions"


def test_the_readme_has_every_verdict():
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 90
    rows = re.findall(r"^\| (holds|does not hold|not decided) \| (.*) \|$", readme, re.MULTILINE)
    told = {name: verdict for verdict, claims in rows for name in re.findall(r"`(\w+)`: ", claims)}
    records = [read_result(path.parent) for path in (CHECKOUT / "results" / RECORDS).glob("*/result.json")]
    assert told == {result.rule.name: result.verdict for result in records}


def test_a_section_has_what_was_measured_and_the_verdict(tmp_path):
    rule = load_rule("clipping")
    finding = Finding("share of |x|", 0.5, (0.25, 0.75), ">= 0.8", "does not hold")
    result = Result(rule, [finding], "does not hold", finding, 61.0, {}, "rnnbench reproduce clipping", {}, "abc")
    (tmp_path / "clipping").mkdir()
    write_result(tmp_path / "clipping", result)
    assert read_result(tmp_path / "clipping") == result
    page = markdown(tmp_path)
    assert "| share of \\|x\\| | 0.5 | 0.25 to 0.75 | >= 0.8 | does not hold |" in page
    assert "Verdict: **does not hold**" in page
    assert "1 min 1 s" in page
    assert rule.sentence in page
    assert "has changed" not in page


def test_a_rule_has_changed_where_it_decides_otherwise_and_the_page_shows_the_wording_of_today(tmp_path):
    rule = load_rule("clipping")
    finding = Finding("share", 0.5, (0.25, 0.75), ">= 0.8", "does not hold")
    result = Result(rule, [finding], "does not hold", finding, 61.0, {}, "rnnbench reproduce clipping", {}, "abc")
    (tmp_path / "clipping").mkdir()
    old_wording = {name: f"the old {name}" for name in WORDING}
    write_result(tmp_path / "clipping", replace(result, rule=replace(rule, **old_wording)))
    page = markdown(tmp_path)
    assert "has changed" not in page
    assert "the old" not in page
    for change in (
        {"_target_": "rnnbench.experiments.cliff.Other"},
        {"settings": {**rule.settings, "steps": 1}},
        {"thresholds": {}},
        {"sweeps": {}},
    ):
        write_result(tmp_path / "clipping", replace(result, rule=replace(rule, **old_wording, **change)))
        page = markdown(tmp_path)
        assert "has changed since then" in page
        assert "the old claim" in page


def test_a_record_that_is_none_is_named(tmp_path):
    (tmp_path / "clipping").mkdir()
    (tmp_path / "clipping/result.json").write_text("{}")
    with pytest.raises(Exception, match=r"clipping/result\.json is not the result"):
        markdown(tmp_path)
