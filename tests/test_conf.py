"""Every YAML file in conf/: it composes, is typed, says what it is, and has a comment on each key."""

import dataclasses
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rnnbench.config.compose import GROUPS, Composer
from rnnbench.config.listing import Choices
from rnnbench.config.plan import make_plan
from rnnbench.config.register import CLOSED, OPEN
from rnnbench.config.request import Request, parse_request
from rnnbench.config.rule import is_rule, load_rule
from rnnbench.config.schema import Config
from rnnbench.config.validate import fields_of, validate
from rnnbench.paths import conf_dir

CONF = conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
RULES = sorted(path for path in FILES if is_rule(path))
CHOICES = sorted(path for path in FILES if path.parent.parent == CONF and path not in RULES)


def name(path: Path) -> str:
    return path.relative_to(CONF).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def composer():
    with Composer(Request()) as composer:
        yield composer


@pytest.mark.parametrize("path", CHOICES, ids=name)
def test_every_choice_composes_and_is_valid(path, composer):
    config = composer.compose([f"{path.parent.name}={path.stem}"]).config
    validate(config)
    if path.parent.name != "probe":
        assert getattr(config, path.parent.name).name == path.stem


@pytest.mark.parametrize("path", FILES, ids=name)
def test_first_line_says_what_it_is(path):
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"# [A-Z].*\.", first)
    assert len(first) <= 120


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_key_has_a_comment(path):
    lines = path.read_text().splitlines()
    opened_by_a_list = {"defaults", "hydra", "run", "sweep", "job", "handlers", "console"}
    for line in lines:
        match = re.match(r" *(\w+):", line)
        if match and match[1] not in opened_by_a_list:
            assert re.search(r" # \S", line), line


@pytest.mark.parametrize("path", [path for path in CHOICES if path.parent.name != "probe"], ids=name)
def test_keys_of_file_and_schema_agree(path, composer):
    written = {key for key in OmegaConf.load(path) if key != "defaults"}
    choice = getattr(composer.compose([f"{path.parent.name}={path.stem}"]).config, path.parent.name)
    assert type(choice) in {*CLOSED[path.parent.name].values(), *OPEN[path.parent.name].values()}
    assert written == {field.name for field in dataclasses.fields(choice)}


@pytest.mark.parametrize("path", RULES, ids=name)
def test_every_rule_is_whole_and_its_sweeps_compose(path):
    first = load_rule(path.stem).settings["first_seed"]
    for quick in (False, True):
        rule = load_rule(path.stem, quick=quick, changes={"end_seed": first + 1})
        assert rule.name == path.stem
        assert rule.control
        for words in rule.sweeps.values():
            assert make_plan(parse_request(["-m", *words, "hydra.sweep.dir=nowhere"])).configs


@pytest.mark.parametrize("path", sorted((CONF / "probe").glob("*.yaml")), ids=name)
def test_keys_of_probes_and_schema_agree(path, composer):
    written, probes = OmegaConf.load(path), [other.stem for other in path.parent.glob("*.yaml")]
    for choice in written.get("defaults", []):
        if choice in probes:  # probe=all is made of the others
            written.merge_with(OmegaConf.load(path.with_stem(choice)))
    for key, probe in composer.compose([f"probe={path.stem}"]).config.probe.items():
        assert type(probe) is CLOSED["probe"][key]
        assert set(written[key]) == {field.name for field in dataclasses.fields(probe)}


def test_keys_of_main_file_and_schema_agree():
    written = set(OmegaConf.load(CONF / "config.yaml")) - {"defaults", "hydra"}
    assert written == {field.name for field in dataclasses.fields(Config)} - set(GROUPS)


def test_probe_none_is_empty(composer):
    assert composer.compose(["probe=none"]).config.probe == {}


def test_every_field_has_help(composer):
    for path in CHOICES:
        for key, _, field in fields_of(composer.compose([f"{path.parent.name}={path.stem}"]).config):
            assert field is not None, key
            assert field.metadata["help"], key


def test_cadences(composer):
    for optim, updates, log, evaluate, checkpoint in [("hf", 200, 1, 1, 5), ("sgd", 50000, 100, 500, 5000)]:
        config = composer.compose([f"optim={optim}"]).config
        assert config.budget.updates == updates
        assert dataclasses.astuple(config.record) == (log, evaluate, checkpoint, 10)


def test_a_budget_of_ones_own_wins_over_the_cadence(composer):
    config = composer.compose(["budget.updates=7"]).config
    assert (config.budget.updates, config.optim.cadence.updates) == (7, 200)


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "experiment"])
def test_every_choice_is_listed(group):
    listed = Choices([CONF]).summaries(group)
    assert sorted(listed) == [path.stem for path in CHOICES if path.parent.name == group]
    assert all(summary.endswith(".") for summary in listed.values())
