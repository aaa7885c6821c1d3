"""Updates by a graph, with one that notes and repeats work on the CPU in the place of torch.cuda's."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from cpu_graph import CpuGraph
from small_runs import PLAN, Recorder
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.objective.engine import Engine
from rnnbench.optim.first_order import FirstOrder
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.run.job_folders import Job
from rnnbench.run.machine import check_graphs
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.training.graph import NUM_WARM_UPS, Replayed
from rnnbench.training.interrupt import Interrupt
from rnnbench.training.loop import Training
from rnnbench.training.problem import Problem, draw_parameters
from rnnbench.training.stepping import CapturedUpdates
from rnnbench.training.world import ALONE, World

CPU, GPU, META = torch.device("cpu"), torch.device("cuda:0"), torch.device("meta")


def test_a_function_is_captured_after_a_few_calls_and_replayed_on_new_numbers():
    log, seen = [], []

    def function(tensors):
        seen.append({name: tensor.data_ptr() for name, tensor in tensors.items()})
        return {"sum": tensors["a"] + tensors["b"]}

    replayed = Replayed(function, lambda: CpuGraph(log))
    results = [replayed({"a": torch.full((2,), float(k)), "b": torch.ones(())}) for k in range(6)]
    assert [one["sum"].tolist() for one in results] == [[k + 1.0] * 2 for k in range(6)]  # none was written over
    assert log == ["warm up"] * NUM_WARM_UPS + ["capture"] + ["replay"] * 3
    assert seen[NUM_WARM_UPS] == seen[-1]  # always on the memory that was captured
    assert not replayed.has_varied


def test_a_view_of_other_strides_is_taken():
    replayed = Replayed(lambda tensors: {"twice": 2 * tensors["a"]}, lambda: CpuGraph([]))
    for k in range(6):
        given = torch.arange(12.0).view(3, 4).T[1:3] + k
        assert torch.equal(replayed({"a": given})["twice"], 2 * given)


@pytest.mark.parametrize("at", [1, NUM_WARM_UPS, NUM_WARM_UPS + 2])
def test_sizes_that_vary_are_never_replayed_again(at):
    log = []
    replayed = Replayed(lambda tensors: {"sum": tensors["a"].sum()}, lambda: CpuGraph(log))
    for k in range(at + 9):
        count = 5 if k == at else 4
        assert replayed({"a": torch.full((count,), float(k))})["sum"] == k * count
    assert replayed.has_varied
    assert log == (["warm up"] * NUM_WARM_UPS + ["capture", "replay", "replay"])[: at + (at > NUM_WARM_UPS)]


def built_from(words):
    sizes = ["task.sequence_length=12", "model.hidden_size=6", "optim.batch_size=8", "dtype=float64"]
    config = make_plan(parse_request([*words.split(), *sizes])).configs[0]
    return config, build([replace(config, seed=seed) for seed in range(3)])


def train(built, make_graph=None, give_up=None, **plan):
    """Train three replicas, and note what the graph was asked for and what the recorder was told."""
    problem = Problem(built.task, Engine(built.model, dtype=torch.float64), [0, 1, 2])
    theta, recorder, log = draw_parameters(built.model, built.inits, problem.seeds, problem.engine), Recorder(), []
    captured = None
    if make_graph is not None:
        captured = CapturedUpdates(problem, built.optimizer, give_up, lambda device: make_graph(log))
    plan = replace(PLAN, **{"max_updates": 30, "log_every": 7, "evaluate_every": 14, **plan})
    run = Training(
        problem, built.optimizer, theta, plan, recorder, recorder, Interrupt(), is_late=True, captured=captured
    )
    run.run()
    problem.engine.close()
    return run, recorder, log


def rows_of(recorder):
    return repr([(u, who, {k: v for k, v in row.items() if k != "time/seconds"}) for u, who, row in recorder.rows])


def assert_same_run(one, other):
    (run, told, _), (expected, said, _) = one, other
    assert rows_of(told) == rows_of(said)
    assert (told.messages, told.ends, told.checkpoints) == (said.messages, said.ends, said.checkpoints)
    for index in range(3):
        (theta, state, _), (other_theta, other_state, _) = run.final[index], expected.final[index]
        assert torch.equal(theta, other_theta)
        assert state.keys() == other_state.keys()
        assert all(torch.equal(state[name], other_state[name]) for name in state)
        for key in ("status", "message", "updates", "sequences", "forward_passes", "backward_passes"):
            assert getattr(run.replicas[index], key) == getattr(expected.replicas[index], key)


@pytest.mark.parametrize(
    "words",
    [
        "task=adding optim=sgd optim.lr=0.1 optim.momentum=0.9",
        "task=adding optim=nag optim.initial_momentum_updates=12 optim.clip_norm=0.1",
        "task=temporal_order optim=nag optim.form=torch optim.initial_momentum_updates=12",
        "task=memorization_5 optim=adam optim.clip_value=0.001",
        "task=adding optim=adam model=lstm",
    ],
)
def test_a_run_by_a_graph_is_the_run_without(words):
    _, built = built_from(words)
    found = train(built, CpuGraph)
    assert_same_run(found, train(built))
    # Updates 7, 14, 21, 28 and 30 have rows.
    assert found[2] == ["warm up"] * NUM_WARM_UPS + ["capture"] + ["replay"] * (30 - 5 - NUM_WARM_UPS)


def test_replicas_that_end_are_captured_anew_without_them():
    config, _ = built_from("task=adding optim=sgd optim.clip_norm=null optim.lr=0.1 model.nonlinearity=linear")
    rates = (0.01, 1e6, 0.02)
    built = build([replace(config, optim=replace(config.optim, lr=lr)) for lr in rates])
    found = train(built, CpuGraph)
    assert_same_run(found, train(built))
    assert [replica.status for replica in found[0].replicas] == ["budget", "diverged", "budget"]
    assert found[0].replicas[1].updates < 7
    assert found[2].count("capture") == 2


def test_what_cannot_be_captured_goes_on_without():
    class Refusing(CpuGraph):
        def capture(self, work):
            super().capture(work)
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    _, built = built_from("task=adding optim=nag")
    notices = []
    found = train(built, Refusing, notices.append)
    assert_same_run(found, train(built))
    assert found[2] == ["warm up"] * NUM_WARM_UPS + ["capture"]
    (notice,) = notices
    assert notice.endswith("from now on: operation not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not permitted"):
        train(built, Refusing)


class NoHostTensor(TorchFunctionMode):
    """Refuses to make a tensor of the host's numbers, which is copied to where it is wanted."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in (torch.tensor, torch.as_tensor, torch.from_numpy), function
        return function(*args, **(kwargs or {}))


class NoTraffic(TorchDispatchMode):
    """Refuses operations on tensors of both the device and the host, which are copies between them or need one."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, made)) if isinstance(leaf, torch.Tensor)]
        assert len({tensor.device for tensor in tensors}) <= 1, function
        return made


@pytest.mark.parametrize(
    "words",
    [
        "task=adding optim=sgd",
        "task=adding task.variant=pascanu13 optim=nag optim.form=torch optim.clip_norm=1 model=gru",
        "task=adding task.variant=hs97 optim=adam optim.clip_value=1 model=lstm",
        "task=temporal_order optim=nag",
        "task=memorization_5 optim=adam",
        "task=xor optim=sgd",
    ],
)
def test_what_is_captured_has_no_traffic_with_the_host(words):
    """On the meta device, whose numbers cannot be read either."""

    class Strict(CpuGraph):
        def capture(self, work):
            with NoHostTensor(), NoTraffic():
                return super().capture(work)

    _, built = built_from(words)
    log, problem = [], Problem(built.task, Engine(built.model, device=META), [0, 1, 2])
    captured = CapturedUpdates(problem, built.optimizer, make_graph=lambda device: Strict(log))
    theta = torch.zeros(3, built.model.num_parameters, device=META)
    state, since = built.optimizer.initial_state(theta), torch.zeros(3, dtype=torch.int64, device=META)
    for index in range(NUM_WARM_UPS + 2):
        step = captured.make(theta, state, since, index)
        theta, state, since = step.theta, step.state, step.since
        assert [cost.tolist() for cost in step.costs.values()] == [[8] * 3, [0] * 3, [8] * 3, [8] * 3]
    assert log[NUM_WARM_UPS:] == ["capture", "replay", "replay"]


def test_a_whole_command_by_a_graph_leaves_the_same_records(tmp_path, monkeypatch):
    sizes = ["task.sequence_length=8", "model.hidden_size=4", "optim.batch_size=5", "threads=1", "seed=3"]
    words = ["optim=nag", *sizes, "budget.updates=20", "record.log_every=6", "record.evaluate_every=9"]
    tables, log = {}, []
    for name in ("plain", "graphs"):
        if name == "graphs":
            monkeypatch.setattr("rnnbench.run.machine.obstacle_to_capture", lambda *_, **__: None)
            make = partial(CapturedUpdates, make_graph=lambda device: CpuGraph(log))
            monkeypatch.setattr("rnnbench.run.batched_run.CapturedUpdates", make)
        folder = tmp_path / name
        folder.mkdir()
        config = make_plan(parse_request([*words, f"hydra.run.dir={tmp_path}/unused"])).configs[0]
        assert run_job(Job(config, folder), set_up([config]), quiet=True) == 0
        tables[name] = read_metrics(folder)
    assert log.count("replay") == 20 - NUM_WARM_UPS - 5  # rows at 6, 9, 12, 18 and 20
    for column, numbers in tables["plain"].items():
        if not column.startswith("time/"):
            np.testing.assert_array_equal(tables["graphs"][column], numbers)


@pytest.mark.parametrize("form", ["sgd", "nag", "nag optim.form=torch", "adam"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_index_on_the_device_makes_the_same_step(form, dtype):
    optimizer = built_from(f"task=adding optim={form}".replace("nag", "nag optim.initial_momentum_updates=2"))[
        1
    ].optimizer
    generator = torch.Generator().manual_seed(1)
    theta, gradient = (torch.randn((3, 40), dtype=dtype, generator=generator) for _ in range(2))
    state = {name: torch.rand((3, 40), dtype=dtype, generator=generator) for name in optimizer.initial_state(theta)}
    assert optimizer.is_capturable
    for index in (0, 1, 2, 3, 49_999):
        given = torch.tensor(index)
        assert torch.equal(optimizer.point(theta, state, given), optimizer.point(theta, state, index))
        (step, after), (expected, expected_after) = (
            optimizer.step(gradient, theta, state, one) for one in (given, index)
        )
        assert torch.equal(step, expected)
        assert all(torch.equal(after[name], expected_after[name]) for name in after)


def test_a_method_of_ones_own_is_not_captured_unless_it_says_so():
    assert FirstOrder.is_capturable is False


@pytest.mark.parametrize(
    ("words", "device", "world", "said"),
    [
        ("optim=nag", CPU, ALONE, "device=cpu has no CUDA graphs"),
        ("optim=hf", GPU, ALONE, "HessianFree does not declare"),
        ("optim=nag probe=curvature", GPU, ALONE, "compares every update with the previous one"),
        ("optim=nag record.log_every=1", GPU, ALONE, "every update has a row"),
        ("optim=nag", GPU, World(0, 2), "several processes"),
    ],
)
def test_where_graphs_cannot_be(words, device, world, said):
    config = make_plan(parse_request(["model.hidden_size=4", *words.split()])).configs[0]
    check = partial(check_graphs, built=build([config]), device=device, world=world)
    assert check(replace(config, cuda_graphs="auto")) is False
    assert check(replace(config, cuda_graphs="never")) is False
    with pytest.raises(ConfigError, match=rf"^cuda_graphs=always: .*{said}.*; use cuda_graphs=auto$"):
        check(replace(config, cuda_graphs="always"))


def test_where_graphs_can_be():
    config = make_plan(parse_request(["model.hidden_size=4", "optim=adam"])).configs[0]
    check = partial(check_graphs, built=build([config]), device=GPU, world=ALONE)
    assert [check(replace(config, cuda_graphs=way)) for way in ("auto", "always", "never")] == [True, True, False]
