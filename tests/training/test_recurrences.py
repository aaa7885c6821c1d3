"""The faster way through a gated net's steps on a GPU: measured with a clock and a device of the tests' own."""

import dataclasses

import pytest
import torch
from cpu_graph import CpuGraph

from rnnbench.config.build import build
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.models.cell_sweeps import CellSweeps
from rnnbench.models.fused_sweeps import FusedSweeps
from rnnbench.models.lstm import Lstm
from rnnbench.run.machine import resolve_recurrence
from rnnbench.tasks.adding import Adding
from rnnbench.training import recurrences
from rnnbench.training.graph import NUM_WARM_UPS
from rnnbench.training.recurrences import NUM_ROUNDS, fastest_recurrence

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
TASK = Adding(12)
CALLS = NUM_WARM_UPS + 1 + NUM_ROUNDS


class Clock:
    """Advances with every forward sweep, by what its way is said to take."""

    def __init__(self, monkeypatch, **costs):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(recurrences.time, "perf_counter", lambda: self.now)
        for way, kind in (("torch", CellSweeps), ("fused", FusedSweeps)):
            monkeypatch.setattr(kind, "forward", self.counted(way, kind.forward, costs[way]))

    def counted(self, way, forward, cost):
        def run(sweeps, weights):
            self.calls.append(way)
            self.now += cost
            return forward(sweeps, weights)

        return run


def measured(make_graph=None, waits=None):
    wait = (lambda: None) if waits is None else lambda: waits.append(1)
    model = Lstm(TASK.input_size, TASK.output_size, 5)
    found = fastest_recurrence(TASK, model, 3, 4, torch.float32, CPU, make_graph, wait)
    assert model.recurrence == "auto"
    return found


@pytest.mark.parametrize(("costs", "best"), [((2.0, 1.0), "fused"), ((1.0, 2.0), "torch"), ((1.0, 1.0), "torch")])
def test_the_faster_way_is_taken(costs, best, monkeypatch):
    clock, waits = Clock(monkeypatch, torch=costs[0], fused=costs[1] / 3), []  # three replicas, one after the other
    assert measured(waits=waits) == best
    assert clock.calls.count("torch") == CALLS
    assert len(waits) == 2 * 2 * NUM_ROUNDS  # before and after each that counts


def test_it_is_measured_as_updates_will_run(monkeypatch):
    Clock(monkeypatch, torch=1.0, fused=1.0)
    log = []
    assert measured(lambda: CpuGraph(log)) == "torch"
    assert log == (["warm up"] * NUM_WARM_UPS + ["capture"] + ["replay"] * (1 + NUM_ROUNDS)) * 2


def test_what_cannot_be_captured_is_measured_without(monkeypatch):
    class Refusing(CpuGraph):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    clock = Clock(monkeypatch, torch=1.0, fused=0.1)
    assert measured(lambda: Refusing([])) == "fused"
    assert clock.calls.count("torch") == NUM_WARM_UPS + CALLS


def settled(words, device, known=None):
    config = make_plan(parse_request(["model.hidden_size=4", "optim=nag", *words.split()])).configs[0]
    built = build([config, dataclasses.replace(config, seed=1)])
    return built, resolve_recurrence(config, built, 2, device, captures=False, known=known)


@pytest.mark.parametrize(
    ("words", "device"), [("model=lstm", CPU), ("model=rnn", GPU), ("model=gru model.recurrence=torch", GPU)]
)
def test_where_there_is_nothing_to_settle(words, device):
    built, found = settled(words, device)
    assert found is built


def test_a_run_that_goes_on_keeps_its_way():
    built, found = settled("model=gru", GPU, "fused")
    assert (built.model.recurrence, found.model.recurrence) == ("auto", "fused")


def test_a_run_measures_its_own_work(monkeypatch):
    def measure(task, model, num_replicas, num_sequences, dtype, device, make_graph, wait):
        assert (type(task), model.hidden_size, num_replicas, num_sequences) == (Adding, 4, 2, 7)
        assert (dtype, device, make_graph) == (torch.float64, GPU, None)
        return "fused"

    monkeypatch.setattr("rnnbench.run.machine.fastest_recurrence", measure)
    _, found = settled("model=gru optim.batch_size=7 dtype=float64", GPU)
    assert found.model.recurrence == "fused"


def test_too_little_memory_to_measure_is_no_error(monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("rnnbench.run.machine.fastest_recurrence", fail)
    built, found = settled("model=gru", GPU)
    assert found is built
