"""Every YAML file in conf/: it composes, is typed, says what it is, and repeats nothing of the schema."""

import dataclasses
import re
import sys

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from rnnbench.config import choices
from rnnbench.config.compose import GROUPS, Composer
from rnnbench.config.declaration import DECLARED
from rnnbench.config.listing import Choices
from rnnbench.config.plan import make_plan
from rnnbench.config.register import import_choices, register_schema
from rnnbench.config.request import Request, parse_request
from rnnbench.config.rule import is_rule, load_rule
from rnnbench.config.validate import fields_of, validate
from rnnbench.paths import conf_dir
from rnnbench.reports.description import goal_of

CONF = conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
RULES = sorted(path for path in FILES if is_rule(path))
CHOICES = sorted(path for path in FILES if path.parent.parent == CONF and path not in RULES)


NEEDED = {
    "init/from_file": ["init.path=net.pt"],
    "schedule/step": ["schedule.step_size=100"],
}  # values that a choice has no default for


def chosen(path):
    """The words that choose a file."""
    return [f"{path.parent.name}={path.stem}", *NEEDED.get(name(path), [])]


def name(path):
    return path.relative_to(CONF).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def composer():
    with Composer(Request()) as composer:
        yield composer


@pytest.mark.parametrize("path", CHOICES, ids=name)
def test_every_choice_composes_and_is_valid(path, composer):
    config = composer.compose(chosen(path)).config
    validate(config)
    if path.parent.name != "probe":
        assert getattr(config, path.parent.name).name == path.stem


@pytest.mark.parametrize("path", FILES, ids=name)
def test_first_line_says_what_it_is(path):
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"# [A-Z].*\.", first)
    assert len(first) <= 120


@pytest.mark.parametrize("path", [path for path in FILES if path not in CHOICES], ids=name)
def test_every_key_without_a_schema_has_a_comment(path):
    lines = path.read_text().splitlines()
    opened_by_a_list = {"defaults", "hydra", "run", "sweep", "job", "handlers", "console"}
    for line in lines:
        match = re.match(r" *(\w+):", line)
        if match and match[1] not in opened_by_a_list:
            assert re.search(r" # \S", line), line


def values(node):
    return OmegaConf.to_container(node, resolve=False)


def schemas_of(path):
    """The schema's own values of a file, by their place in the file, from all entries /schema/GROUP/NAME@PLACE."""
    register_schema()
    entries = [re.fullmatch(r"/schema/(\w+)/(\w+)@(\w+)", entry) for entry in OmegaConf.load(path).get("defaults", [])]
    repo = ConfigStore.instance().repo["schema"]
    return {entry[3]: values(repo[entry[1]][f"{entry[2]}.yaml"].node) for entry in entries if entry}


@pytest.mark.parametrize("path", [path for path in CHOICES if path.parent.name != "probe"], ids=name)
def test_a_choice_is_its_schema_and_what_its_file_says_otherwise(path, composer):
    (schema,) = schemas_of(path).values()
    written = {key: value for key, value in values(OmegaConf.load(path)).items() if key not in ("defaults", "tune")}
    assert values(composer.compose_tree([f"{path.parent.name}={path.stem}"])[0][path.parent.name]) == schema | written
    assert {key for key, value in written.items() if value == schema[key]} == set(), "said twice"
    assert {"name", "_target_"} <= written.keys()


@pytest.mark.parametrize("path", sorted((CONF / "probe").glob("*.yaml")), ids=name)
def test_probes_are_their_schemas_and_what_their_file_says_otherwise(path, composer):
    composed = values(composer.compose([f"probe={path.stem}"]).tree.probe)
    written = values(OmegaConf.load(path))
    for probe, schema in schemas_of(path).items():
        own = written.get(probe, {})
        assert composed[probe] == schema | own
        assert {key for key, value in own.items() if value == schema[key]} == set(), "said twice"


def test_a_choice_of_ones_own_that_builds_on_one_of_ours_gets_its_values(tmp_path):
    """By the name of the choice, or by its schema: clipping at 1, which is sgd's, is in both."""
    (tmp_path / "optim").mkdir()
    for file, defaults in {"named": "sgd", "typed": "/schema/optim/sgd@_here_"}.items():
        text = f"# Mine.\ndefaults: [{defaults}, _self_]\nname: {file}\nmomentum: 0.5\n"
        (tmp_path / "optim" / f"{file}.yaml").write_text(f"{text}_target_: rnnbench.optim.sgd.Sgd\n")
    with Composer(Request(config_dir=tmp_path)) as composer:
        ours, named, typed = (
            values(composer.compose([f"optim={choice}"]).tree.optim) for choice in ("sgd", "named", "typed")
        )
    assert (ours["clip_norm"], ours["momentum"]) == (1.0, 0.0)
    assert named == ours | {"name": "named", "momentum": 0.5}
    assert typed == ours | {"name": "typed", "momentum": 0.5}


@pytest.mark.parametrize("path", RULES, ids=name)
def test_every_rule_is_whole_and_its_sweeps_compose(path):
    first = load_rule(path.stem).settings.get("first_seed")  # None: nothing is trained
    for quick in (False, True):
        rule = load_rule(path.stem, quick=quick, changes={} if first is None else {"end_seed": first + 1})
        assert rule.name == path.stem
        assert rule.control
        for words in rule.sweeps.values():
            assert make_plan(parse_request(["-m", *words, "hydra.sweep.dir=nowhere"])).configs


def test_main_file_repeats_no_key_of_the_schema():
    assert set(OmegaConf.load(CONF / "config.yaml")) == {"defaults", "hydra"}


def test_every_schema_with_a_class_is_a_choice():
    """What is declared as the schema of a choice is in a file, or it would be out of reach."""
    used = {entry for path in CHOICES for entry in re.findall(r"/schema/(\w+/\w+)@", path.read_text())}
    declared = {(group, name): schema for group, schemas in DECLARED.items() for name, schema in schemas.items()}
    assert {f"{group}/{name}" for (group, name), schema in declared.items() if not schema.is_open} <= used


def test_every_task_has_a_sentence_in_reports():
    for path in CHOICES:
        if path.parent.name == "task":
            goal = goal_of(path.stem)
            assert goal is not None, path
            assert goal[0].islower(), path
            assert goal[-1].isalpha(), path
    for name in ("nope", "../task/adding", ""):  # a record may be a stranger's
        assert goal_of(name) is None


MODULE = """
from dataclasses import dataclass

from rnnbench.config.declaration import choice
from rnnbench.config.schema import Choice

@choice("model", "found")
@dataclass
class Found(Choice):
    pass
"""


def test_a_module_of_schemas_is_found_by_itself(tmp_path, monkeypatch):
    (tmp_path / "found.py").write_text(MODULE)
    monkeypatch.setattr(choices, "__path__", [*choices.__path__, str(tmp_path)])
    monkeypatch.setitem(DECLARED, "model", dict(DECLARED["model"]))
    import_choices()
    assert DECLARED["model"]["found"].node.__name__ == "Found"
    monkeypatch.delitem(sys.modules, "rnnbench.config.choices.found")


def test_probe_none_is_empty(composer):
    assert composer.compose(["probe=none"]).config.probe == {}


def test_every_field_has_help(composer):
    for path in CHOICES:
        for key, _, field in fields_of(composer.compose(chosen(path)).config):
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
