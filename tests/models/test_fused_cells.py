"""Torch's operation for whole sequences comes to what the steps come to, which have tests of their own."""

from dataclasses import replace

import pytest
import torch
from cases import assert_close, random_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_cells import MODELS

from rnnbench.config.build import build
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.losses import LOSSES
from rnnbench.models.base import BlockShape
from rnnbench.models.cell_sweeps import CellSweeps
from rnnbench.models.fused_sweeps import FusedSweeps
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.native import library
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Batch
from rnnbench.training.problem import Problem, draw_parameters

CPU, GPU = torch.device("cpu"), torch.device("cuda")
F32, F64 = torch.float32, torch.float64


def batch_of(where, num_steps, num_replicas, num_sequences, generator):
    """Sequences of different lengths with an output at their end, two anywhere, one at the same step, or one a step."""
    batch = random_batch(
        *(num_steps, num_replicas, num_sequences, 2, "squared_error"),
        every_step=where == "every step",
        generator=generator,
    )
    if where == "same step":
        step = int(batch.lengths.min()) - 1
        return replace(batch, output_steps=torch.full_like(batch.output_steps, step))
    if where != "two steps":
        return batch
    drawn = torch.rand(2, num_replicas, num_sequences, generator=generator)
    targets = torch.randn(*drawn.shape, 2, generator=generator, dtype=F64)
    return Batch(batch.inputs, batch.lengths, (drawn * batch.lengths).long(), targets)


def objectives(name, hidden_size, batch, threads=1, dtype=F64):
    models = (MODELS[name](2, 2, hidden_size, recurrence) for recurrence in ("torch", "fused"))
    return [Objective(Engine(model, threads, dtype=dtype), LOSSES["squared_error"], batch) for model in models]


@settings(max_examples=25)
@given(
    name=st.sampled_from(list(MODELS)),
    where=st.sampled_from(["end", "two steps", "same step", "every step"]),
    num_replicas=st.integers(1, 3),
    num_sequences=st.sampled_from([1, 2, 9]),
    num_steps=st.integers(1, 9),
    hidden_size=st.integers(1, 6),
    seed=st.integers(0, 1000),
    threads=st.sampled_from([1, 2]),
)
def test_equal_the_steps(name, where, num_replicas, num_sequences, num_steps, hidden_size, seed, threads):
    """Outputs, loss, gradient, whole states and products; and a replica alone."""
    generator = torch.Generator().manual_seed(seed)
    batch = batch_of(where, num_steps, num_replicas, num_sequences, generator)
    stepped, fused = objectives(name, hidden_size, batch, threads)
    size = stepped.engine.model.num_parameters
    theta, vector = 0.5 * torch.randn(2, num_replicas, size, generator=generator, dtype=F64)
    weight = torch.full((num_replicas, 1), 0.3, dtype=F64)
    results = []
    for objective in (stepped, fused):
        found, count = objective.loss_and_gradient(theta), (num_sequences + 1) // 2
        trace = [found.trace.state_gradients(count), found.trace.states(num_sequences), found.trace.states(1)]
        products = [objective.linearize(theta, weight).product(vector) for _ in range(2)]
        results.append([objective.outputs(theta), found.loss, found.gradient, *trace, *products])
    for expected, actual in zip(*results, strict=True):
        assert_close(actual, expected)
    last = slice(num_replicas - 1, num_replicas)
    alone = Objective(fused.engine, fused.loss_function, batch.replicas(last)).loss_and_gradient(theta[last])
    assert_close(alone.gradient, results[1][2][last])
    for objective in (stepped, fused):
        objective.engine.close()


@pytest.mark.parametrize("name", MODELS)
def test_float32_is_as_exact_as_the_steps(name):
    generator = torch.Generator().manual_seed(0)
    batch = batch_of("end", 60, 2, 10, generator)
    exact, _ = objectives(name, 20, batch)
    theta = 0.3 * torch.randn(2, exact.engine.model.num_parameters, generator=generator, dtype=F64)
    expected = exact.loss_and_gradient(theta).gradient
    rounded = Batch(batch.inputs.float(), batch.lengths, batch.output_steps, batch.targets.float())
    stepped, fused = (
        objective.loss_and_gradient(theta.float()) for objective in objectives(name, 20, rounded, dtype=F32)
    )
    assert fused.gradient.dtype == F32
    errors = [(found.gradient - expected).norm() / expected.norm() for found in (stepped, fused)]
    assert errors[1] < max(3 * errors[0], 1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_updates_of_nag_come_to_the_same(name):
    ends = []
    for recurrence in ("torch", "fused"):
        words = [f"model={name}", f"model.recurrence={recurrence}", "optim=nag", "optim.lr=0.01"]
        config = make_plan(parse_request([*words, "task.sequence_length=12", "model.hidden_size=6"])).configs[0]
        built = build([config, config])
        problem = Problem(built.task, Engine(built.model, dtype=F64), [0, 1])
        start = theta = draw_parameters(built.model, built.inits, problem.seeds, problem.engine)
        state = built.optimizer.initial_state(theta)
        for number in range(3):
            update = built.optimizer.update(theta, state, number, problem.draw(number))
            theta, state = update.theta, update.state
        ends.append(theta - start)
    assert_close(ends[1], ends[0], 1e-10)


def sweeps_of(recurrence, replicas, device=CPU, dtype=F32):
    return type(MODELS["lstm"](2, 1, 4, recurrence).sweeps(BlockShape(replicas, 3, 20, dtype, device)))


@pytest.mark.skipif(library.unavailable_reason("lstm") is not None, reason="no native kernels")
def test_a_cpu_gets_native_kernels_unless_asked_otherwise():
    assert sweeps_of("auto", 1) is sweeps_of("native", 3) is sweeps_of("auto", 2, dtype=F64) is NativeSweeps
    assert sweeps_of("torch", 1) is CellSweeps
    assert sweeps_of("fused", 2) is FusedSweeps
    for model in MODELS.values():
        assert (
            model(2, 1, 3).backend_name(CPU, F32) == model(2, 1, 3, "native").backend_name(CPU, F64) == "native kernels"
        )


@pytest.mark.parametrize("device", [CPU, torch.device("meta")])
def test_without_kernels_the_operation_serves_single_replicas(device, monkeypatch):
    """As on a GPU where nothing was measured."""
    monkeypatch.setattr(library, "unavailable_reason", lambda net: f"no {net}")
    assert sweeps_of("auto", 1, device) is (FusedSweeps if device == CPU else CellSweeps)
    assert sweeps_of("auto", 2, device) is CellSweeps
    assert MODELS["gru"](2, 1, 3).is_fused(BlockShape(1, 3, 20, F32, GPU))


def test_replicas_are_separated_for_gradients_alone():
    engine = Engine(MODELS["lstm"](2, 1, 50, "fused"))
    assert len(engine.split(32, 100, 20, for_gradients=True)) == 32
    (block,) = engine.split(32, 100, 20)
    assert block.replicas == slice(0, 32)


def test_torchs_generator_is_left_alone():
    before = torch.get_rng_state()
    MODELS["gru"](2, 1, 3, "fused").sweeps(BlockShape(2, 3, 4, F32, CPU))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_operation_takes_more_memory():
    shape = BlockShape(1, 100, 200, F32, CPU)
    stepped, fused = (MODELS["gru"](2, 1, 100, way).block_bytes(shape) for way in ("torch", "fused"))
    assert fused == pytest.approx(1.3 * stepped, rel=1e-6)


def test_says_what_runs_it(monkeypatch):
    model = MODELS["lstm"]
    assert model(2, 1, 3, "torch").backend_name(CPU, F32) == model(2, 1, 3).backend_name(GPU, F32) == "torch"
    assert model(2, 1, 3).with_recurrence("fused").backend_name(GPU, F32) == "torch.nn.LSTM's operation"
    assert MODELS["gru"](2, 1, 3, "fused").backend_name(CPU, F32) == "torch.nn.GRU's operation"
    with pytest.raises(ValueError, match=r"model\.recurrence=native: the native kernels need a CPU; use model\.recurr"):
        model(2, 1, 3, "native").backend_name(GPU, F32)
    monkeypatch.setattr(library, "unavailable_reason", lambda net: f"there is no {net}")
    assert model(2, 1, 3).backend_name(CPU, F32).startswith("torch, since there is no lstm (an update takes ")
    with pytest.raises(ValueError, match=r"model\.recurrence=native: there is no lstm; use model\.recurrence=auto"):
        model(2, 1, 3, "native").backend_name(CPU, F32)


def test_unknown_recurrence_is_refused():
    with pytest.raises(ValueError, match=r"model\.recurrence must be one of auto, torch, native, fused, got cudnn"):
        MODELS["lstm"](2, 1, 3, "cudnn")
