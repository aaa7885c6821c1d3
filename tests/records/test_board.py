"""What TensorBoard makes of the events of a run, of an aggregate and of a sweep, asked of its own server code."""

import json
import warnings

import numpy as np
import pytest
from run_folders import make_folders
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext

from rnnbench.metrics import Metric
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.optim.hessian_free_metrics import METRICS as HESSIAN_FREE
from rnnbench.probes.gradient_norm import GradientNorm
from rnnbench.probes.recurrent_weight import RecurrentWeight
from rnnbench.probes.state_gradient import StateGradient
from rnnbench.probes.state_jacobian import StateJacobian
from rnnbench.records.aggregate import Aggregate
from rnnbench.records.aggregate_board import aggregate_columns
from rnnbench.records.board import board_of, description
from rnnbench.records.continuing import FORMER_COLUMNS, check_continued, covered_lengths
from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import header
from rnnbench.records.run_files import present_lengths
from rnnbench.records.writer import Records
from rnnbench.tasks.adding import Adding
from rnnbench.training.observation import LOOP_METRICS

with warnings.catch_warnings():  # of an old library inside TensorBoard
    warnings.simplefilter("ignore", DeprecationWarning)
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups
    from tensorboard.plugins.scalar.scalars_plugin import OutputFormat, ScalarsPlugin

TASK = Adding(50)
PROBES = [GradientNorm(), StateGradient(0), StateJacobian(1, 1, 0), RecurrentWeight()]
METRICS = [*LOOP_METRICS, *HESSIAN_FREE, *(metric for probe in PROBES for metric in probe.metrics)]
COLUMNS = [metric.tag for metric in (*LOOP_METRICS, *HESSIAN_FREE)]
COLUMNS += [column for probe in PROBES for column in probe.columns(SimpleRnn(2, 1, 3), TASK)]
BOARD = board_of(COLUMNS, METRICS, {"loss/eval": TASK.baseline_loss, "error_rate/eval": TASK.baseline_error_rate})
FIRST = [
    "Overview/1_loss/eval",
    "Overview/2_loss/constant_predictor",
    "Overview/3_error_rate/eval",
    "Overview/4_gradient/norm",
    "Overview/5_state_gradient/at_dependency",
    "Overview/6_jacobian/spectral_radius",
    "Overview/7_hf/damping",
    "Overview/8_loss/train",
    "Overview/9_error_rate/constant_predictor",
]
CONTEXT = RequestContext()


class Server:
    """TensorBoard's server on a logdir."""

    def __init__(self, logdir):
        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()
        provider = MultiplexerDataProvider(multiplexer, str(logdir))
        self.context = TBContext(logdir=str(logdir), data_provider=provider, plugin_name_to_instance={})
        self.scalars = ScalarsPlugin(self.context)
        self.context.plugin_name_to_instance["scalars"] = self.scalars
        self.charts = CustomScalarsPlugin(self.context)
        self.hparams = backend_context.Context(self.context)

    def tags(self, run):
        """Tags and descriptions of a run."""
        return {tag: one["description"] for tag, one in self.scalars.index_impl(CONTEXT, "")[run].items()}

    def values(self, run, tag):
        rows, _ = self.scalars.scalars_impl(CONTEXT, tag, run, "", OutputFormat.JSON)
        return [(step, value) for _, step, value in rows]

    def titles(self):
        return {page["title"]: [chart["title"] for chart in page["chart"]] for page in self.layout()["category"]}

    def layout(self):
        return json.loads(self.charts.layout_impl(CONTEXT, ""))

    def matches(self, run, pattern):
        return list(self.charts.scalars_impl(CONTEXT, run, pattern, "")["tag_to_events"])

    def columns(self):
        """Hyperparameters that the HPARAMS page ticks, and the others."""
        found = get_experiment.Handler(CONTEXT, self.hparams, "", api_pb2.GetExperimentRequest()).run()
        names = [info.name for info in found.hparam_infos]
        return [name for name, info in zip(names, found.hparam_infos, strict=True) if info.differs], names

    def trials(self):
        request = api_pb2.ListSessionGroupsRequest(allowed_statuses=[api_pb2.STATUS_UNKNOWN], slice_size=100)
        return {group.name: group for group in self._groups(request)}

    def _groups(self, request):
        return list_session_groups.Handler(CONTEXT, self.hparams, "", request).run().session_groups


def as_shown(tags):
    """The order of TensorBoard's pages: digits, _ and / before letters, capitals before small ones."""
    return sorted(tags, key=lambda tag: [(not (c in "/_" or c.isdigit()), c) for c in tag])


def log_rows(records, num_replicas, updates=(0, 1)):
    for update in updates:
        records.log(update, {column: np.full(num_replicas, update + 0.5) for column in COLUMNS})


def test_a_run_begins_with_what_the_project_is_for(tmp_path):
    with Records([tmp_path], COLUMNS, board=BOARD) as records:
        records.custom_scalars()
        log_rows(records, 1)
    server = Server(tmp_path)
    tags = as_shown(server.tags("."))
    assert tags[: len(FIRST)] == FIRST
    assert not any(tag.startswith("Overview/") for tag in tags[len(FIRST) :])
    details = [tag for tag in tags if tag.startswith("z_details/")]
    assert tags[-len(details) :] == details
    for column in ("cost/forward_passes", "jacobian/modulus_q50", "gradient_by_parameter/bias", "hf/outcome"):
        assert f"z_details/{column}" in details
    assert server.values(".", "Overview/1_loss/eval") == [(0, 0.5), (1, 1.5)]
    constant = [(0, pytest.approx(TASK.baseline_loss)), (1, pytest.approx(TASK.baseline_loss))]
    assert server.values(".", "Overview/2_loss/constant_predictor") == constant
    (titles,) = server.titles().values()
    assert titles[:2] == ["loss, beside the constant predictor's", "error rate, beside the constant predictor's"]
    (page,) = server.layout()["category"]
    lines = [server.matches(".", pattern) for chart in page["chart"] for pattern in chart["multiline"]["tag"]]
    assert all(len(found) == 1 for found in lines)
    assert {*FIRST} <= {tag for found in lines for tag in found}


def test_every_scalar_has_the_sentence_of_its_metric(tmp_path):
    """Also in a file that goes on, and where a column comes later than the others."""
    folders = make_folders(tmp_path, 2)
    late = {"loss/eval": [None, 0.5], "gradient/norm": [1.0, None]}
    with Records(folders, COLUMNS, board=BOARD) as records:
        records.log(0, late)
        log_rows(records, 2, updates=[1])
    for run in ("0", "1"):
        tags = Server(tmp_path).tags(run)
        assert all(tags.values())
        assert "constant predictor" in tags["Overview/1_loss/eval"]
        assert "K = 49: mean over sequences" in tags["state_gradient/lag_49"]
    size = sum(path.stat().st_size for path in folders[0].glob("events*"))
    with Records(folders, COLUMNS, board=BOARD, lengths=[present_lengths(folder) for folder in folders]) as records:
        log_rows(records, 2, updates=range(2, 4))
    assert all(Server(tmp_path).tags("0").values())
    assert sum(path.stat().st_size for path in folders[0].glob("events*")) < 3 * size


def test_descriptions_speak_of_one_column():
    metric = Metric("a/lag_K", "norm at lag K", "1", "near 1")
    assert description("a/lag_20", metric) == "K = 20: norm at lag K. In a run that learns: near 1."
    assert description("x", Metric("x", "seconds so far", "s", "-")) == "Seconds so far. Unit: s."


def test_an_aggregate_has_few_tags_and_bands_around_the_first(tmp_path):
    aggregate = Aggregate(tmp_path, {"lr=0.1": [0, 1], "lr=0.01": [2]}, COLUMNS, board=BOARD)
    with aggregate.records:
        values = {column: np.arange(3.0) for column in COLUMNS}
        aggregate.log(0, values, range(3), statuses=["running"] * 3, solved=[True, False, False])
    server = Server(tmp_path)
    tags = as_shown(server.tags("lr=0.1"))
    assert tags[: len(FIRST) + 1] == ["Overview/0_replicas/solved_share", *FIRST]
    assert len(tags) < len(COLUMNS) + len(FIRST) * 2
    assert not any(tag.startswith("z_details/") for tag in tags)
    assert {tag for tag in tags if tag.endswith(("_q10", "_q90"))} == {
        f"z_quantiles/{tag.split('_', 1)[1]}_{level}"
        for tag in FIRST
        if "constant" not in tag
        for level in ("q10", "q90")
    }
    assert server.tags("lr=0.1")["Overview/1_loss/eval"].startswith("<p>Median over the replicas. Mean loss")
    (page,) = server.layout()["category"]
    series = [one for chart in page["chart"] for one in chart["margin"]["series"]]
    assert {tag for one in series for tag in one.values()} <= {*tags}
    # TensorBoard shows bands from the last to the first.
    assert [chart["title"] for chart in page["chart"]][-3:] == [
        "error_rate/eval",
        "loss/eval",
        "share of the seeds solved",
    ]
    assert len(page["chart"][-2]["margin"]["series"]) == 2  # the constant predictor's beside the median


def test_a_run_of_an_older_version_keeps_its_tags(tmp_path):
    """Its columns are its tags: they stay one line each, and so does the page of an aggregate."""
    cells, ended = {"a": [0]}, {"statuses": ["running"], "solved": [False]}
    with Records([tmp_path], COLUMNS) as records:
        log_rows(records, 1)
    (tmp_path / "aggregate" / "a").mkdir(parents=True)
    with Records([tmp_path / "aggregate" / "a"], aggregate_columns(COLUMNS)) as records:
        records.log(0, {column: [1.0] for column in aggregate_columns(COLUMNS)})
    lengths = [present_lengths(tmp_path)]
    with Records([tmp_path], [*COLUMNS, "new"], lengths=lengths, board=BOARD) as records:
        log_rows(records, 1, updates=[2])
    lengths = [present_lengths(tmp_path / "aggregate" / "a")]
    aggregate = Aggregate(tmp_path / "aggregate", cells, COLUMNS, lengths=lengths, board=BOARD)
    with aggregate.records:
        aggregate.log(1, {"loss/eval": [2.0]}, [0], **ended)
    server = Server(tmp_path)
    assert {*server.tags(".")} == {*COLUMNS}
    assert server.values(".", "loss/eval") == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert server.values("aggregate/a", "loss/eval") == [(0, 1.0), (1, 2.0)]
    assert server.values("aggregate/a", "loss/eval_q90") == [(0, 1.0), (1, 2.0)]
    (page,) = server.layout()["category"]
    assert {"loss/eval", "loss/eval_q10", "loss/eval_q90"} in [
        {*one.values()} for chart in page["chart"] for one in chart["margin"]["series"]
    ]


def test_a_run_may_lack_columns_that_an_older_version_did_not_record(tmp_path):
    with Records([tmp_path], COLUMNS[::2]) as records:
        records.log(0, {COLUMNS[0]: [1.0]})
    lengths = present_lengths(tmp_path)
    check_continued(tmp_path, header(COLUMNS), lengths)
    assert covered_lengths(tmp_path, header(COLUMNS), lengths) == lengths
    with pytest.raises(RecordError, match="its columns are not those of this run"):
        check_continued(tmp_path, header(COLUMNS[1:]), lengths)


def test_a_column_that_is_no_longer_recorded_stays_empty(tmp_path):
    (former,) = (column.decode() for column in FORMER_COLUMNS)
    with Records([tmp_path], [*COLUMNS, former]) as records:
        records.log(0, {COLUMNS[0]: [1.0], former: [2.0]})
    lengths = present_lengths(tmp_path)
    check_continued(tmp_path, header(COLUMNS), lengths)
    with Records([tmp_path], COLUMNS, lengths=[lengths], board=BOARD) as records:
        records.log(1, {COLUMNS[0]: [3.0]})
    first, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert first.endswith(f",{former}")
    assert [row.split(",")[-1] for row in rows] == ["2.0", ""]


def test_hparams_shows_what_varies_and_one_trial_for_all_seeds(tmp_path):
    folders = make_folders(tmp_path, 4)
    with Records(folders, ["loss/eval"], board=BOARD) as records:
        for replica, lr in enumerate([0.1, 0.1, 0.01, 0.01]):
            records.hyperparameters(replica, f"optim.lr={lr} (sweep)", {"optim": "nag", "optim.lr": lr})
        records.log(0, {"loss/eval": [1.0, 3.0, 5.0, 7.0]})
    server = Server(tmp_path)
    assert server.columns() == (["optim.lr"], ["optim.lr", "optim"])
    trials = server.trials()
    assert {name: len(trial.sessions) for name, trial in trials.items()} == {
        "optim.lr=0.1 (sweep)": 2,
        "optim.lr=0.01 (sweep)": 2,
    }
    means = {metric.name.tag: metric.value for metric in trials["optim.lr=0.01 (sweep)"].metric_values}
    assert means["Overview/1_loss/eval"] == 6.0
