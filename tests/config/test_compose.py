import textwrap

import pytest
from hydra.core.global_hydra import GlobalHydra

from rnnbench.config import schema
from rnnbench.config.choices.hessian_free import HfConfig
from rnnbench.config.choices.probes import ProbeConfig
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request, parse_request


@pytest.fixture
def own(tmp_path):
    """A folder of choices of one's own."""

    def write(path, text):
        file = tmp_path / "my" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return tmp_path / "my"

    return write


def compose(*overrides, **options):
    request = Request(overrides=overrides, **options)
    with Composer(request) as composer:
        return composer.compose(overrides).config


def test_default():
    config = compose()
    assert (config.task.name, config.model.name, config.init.name) == ("adding", "rnn", "edge_of_chaos")
    assert isinstance(config.optim, HfConfig)
    assert isinstance(config.budget, schema.Budget)
    assert config.name == "adding_hf"
    assert config.seed == 0


def test_hydras_state_is_given_back():
    compose()
    assert not GlobalHydra.instance().is_initialized()


def test_composition_inside_a_run_of_hydras():
    with Composer(Request()) as outer:
        before = GlobalHydra.instance().hydra
        with Composer(Request()) as inner:
            assert inner.compose(["seed=3"]).config.seed == 3
        assert GlobalHydra.instance().hydra is before
        assert outer.compose(["seed=4", "optim=nag"]).config.optim.name == "nag"


def test_jobs_that_share_hydras_part_do_not_touch_each_other():
    with Composer(Request()) as composer:
        one, two = (composer.compose([f"seed={seed}", "hydra.sweep.subdir=${seed}"]) for seed in (1, 2))
        other = composer.compose(["seed=3"])
    for _ in range(2):
        names = [job.resolve("hydra.sweep.subdir", number) for number, job in enumerate((one, two, other))]
        assert names == ["1", "2", "2"]
    with one.with_hydra(5) as first, two.with_hydra(6) as second:
        assert (first.seed, second.seed) == (1, 2)
        assert second.hydra.job.override_dirname == "seed=2"
    assert "hydra" not in one.tree
    with pytest.raises(ConfigError, match=r"hydra\.job\.num: a value is needed"):
        other.resolve("hydra.sweep.subdir")


def test_a_type_in_words():
    with pytest.raises(ConfigError, match=r"^optim\.clip_norm must be a number or null, got 'x'$"):
        compose("optim=sgd", "optim.clip_norm=x")
    assert compose("optim=sgd", "optim.clip_norm=3").optim.clip_norm == 3.0  # what was refused leaves no trace


@pytest.mark.parametrize("line", ["objective=loss", "objective=error_rate", "objective=updates_to_solve"])
def test_objectives(line):
    assert f"objective={compose(line).objective}" == line


def test_a_copy_is_changed_and_not_the_base():
    with Composer(Request()) as composer:
        assert composer.compose(["seed=3", "optim.damping=2"]).config.optim.damping == 2.0
        assert composer.compose([]).config.optim.damping == 0.1


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("++seed=5", 5),
        ("seed=${task.sequence_length}", 50),
        ("budget={updates:3}", 3),
        ("optim.betas.0=0.5", 0.5),
    ],
)
def test_ways_to_set_a_value(override, value):
    config = compose("optim=adam", override)
    assert value in (config.seed, config.budget.updates, config.optim.betas[0])


def test_a_probe_can_be_removed():
    assert list(compose("~probe.state_jacobian").probe) == ["gradient_norm", "state_gradient", "recurrent_weight"]


def test_own_choice_with_a_schema_and_further_keys(own):
    folder = own(
        "task/pulses.yaml",
        """\
        # Pulses of one's own.
        defaults: [/schema/task/task@_here_, _self_]
        name: pulses
        _target_: pulses.Pulses
        num_pulses: 3 # how many
        width: 0.5
        """,
    )
    config = compose("task=pulses", "task.num_pulses=4", "task.width=1", config_dir=folder)
    assert isinstance(config.task, schema.TaskConfig)
    assert (config.task.num_pulses, config.task.width, config.task.sequence_length) == (4, 1, 50)
    assert config.name == "pulses_hf"
    for wrong, words in {
        "task.num_pulses=x": "whole number",
        "task.num_pulsess=3": "did you mean task.num_pulses",
    }.items():
        with pytest.raises(ConfigError, match=words):
            compose("task=pulses", wrong, config_dir=folder)


def test_own_choice_without_a_schema(own):
    folder = own("model/tiny.yaml", "# Tiny.\nname: tiny\n_target_: tiny.Tiny\nlabels: [a, b]\ngain: 1.5\n")
    config = compose("model=tiny", "model.labels=[c]", config_dir=folder)
    assert isinstance(config.model, schema.Choice)
    assert (config.model.labels, config.model.gain) == (["c"], 1.5)
    with pytest.raises(ConfigError, match="a number, got 'much'"):
        compose("model=tiny", "model.gain=much", config_dir=folder)


def test_own_probes_stand_beside_ours(own):
    folder = own(
        "probe/mine.yaml",
        "# Mine.\ndefaults: [default, _self_]\nmine:\n  name: mine\n  _target_: mine.Mine\n  every: 3\n  depth: 2\n",
    )
    probes = compose("probe=mine", config_dir=folder).probe
    assert isinstance(probes["mine"], ProbeConfig)
    assert (len(probes), probes["mine"].every, probes["mine"].depth) == (5, 3, 2)


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_experiment(own, prefix):
    folder = own(
        "experiment/long.yaml",
        """\
        # @package _global_
        # Long sequences.
        defaults:
          - override /task: multiplication
        task:
          sequence_length: 100
        seed: 7
        """,
    )
    request = parse_request([f"{prefix}experiment=long", f"--config-dir={folder}", "seed=8"])
    (config,) = make_plan(request).configs
    assert (config.task.name, config.task.sequence_length, config.seed) == ("multiplication", 100, 8)
    (config,) = make_plan(parse_request(["experiment=long", f"--config-dir={folder}"])).configs
    assert config.seed == 7


@pytest.mark.parametrize(
    ("path", "text", "override", "words"),
    [
        (
            "experiment/a.yaml",
            "# @package _global_\noptim: {dampin: 3}\n",
            "experiment=a",
            ["experiment/a", "did you mean optim.damping?"],
        ),
        ("experiment/a.yaml", "# @package _global_\nseed: many\n", "experiment=a", ["experiment/a", "seed"]),
        ("experiment/a.yaml", "# @package _global_\ntask: {lenth: 3}\n", "experiment=a", ["task.lenth"]),
        ("experiment/a.yaml", "a: [\n", "experiment=a", ["a.yaml"]),
        ("task/a.yaml", "# A.\nname: a\n", "task=a", ["task._target_"]),
        ("task/a.yaml", "# A.\ndefaults: [/schema/task/task@_here_, _self_]\n_target_: a.A\n", "task=a", ["task.name"]),
        ("optim/a.yaml", "# A.\nname: a\n_target_: a.A\n", "optim=a", ["optim.lr: a value is needed"]),
        ("task/a.yaml", "# A.\ndefaults: [nope]\n", "task=a", ["nope"]),
        ("task/a.yaml", "", "task=a", ["task"]),
        ("probe/a.yaml", "# A.\nmine: 3\n", "probe=a", ["probe.mine"]),
    ],
)
def test_a_wrong_file_is_one_line(own, path, text, override, words):
    with pytest.raises(ConfigError) as caught:
        make_plan(Request(overrides=(override,), config_dir=own(path, text)))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_search_path_beside_a_folder(own, tmp_path):
    folder = own("model/tiny.yaml", "# Tiny.\nname: tiny\n_target_: tiny.Tiny\n")
    (tmp_path / "other, one/task").mkdir(parents=True)
    (tmp_path / "other, one/task/mine.yaml").write_text("# Mine.\nname: mine\n_target_: mine.Mine\n")
    path = f"hydra.searchpath=['file://{tmp_path}/other, one']"
    config = compose("model=tiny", "task=mine", path, config_dir=folder)
    assert (config.model.name, config.task.name) == ("tiny", "mine")


def test_another_main_folder(tmp_path):
    from rnnbench.paths import conf_dir

    (tmp_path / "mine.yaml").write_text(
        f"defaults: [base_schema, _self_, task: adding, model: rnn, init: sparse, optim: sgd, probe: none]\n"
        f"hydra: {{searchpath: [file://{conf_dir()}]}}\nseed: 9\n"
    )
    (config,) = make_plan(parse_request(["-cp", str(tmp_path), "-cn", "mine.yaml"])).configs
    assert (config.seed, config.optim.name) == (9, "sgd")
