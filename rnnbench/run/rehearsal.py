"""A first use of classes that are not part of rnnbench, on a few sequences, before a run makes its folder.

What they return is checked against the contracts of their base classes, so that a mistake is one line at once, and not
an error in the middle of a run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rnnbench.config.build import Built
from rnnbench.config.classes import is_own
from rnnbench.config.errors import ConfigError
from rnnbench.config.faults import fault
from rnnbench.losses import loss_of
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Update
from rnnbench.probes.base import View
from rnnbench.tasks.base import Batch, Stream
from rnnbench.training.problem import draw_parameters

NUM_REPLICAS, NUM_SEQUENCES, NUM_STEPS = 2, 3, 5
"""Size of the first use; a batch has its full length only if a probe of the user's own reads it."""


def rehearse(built: Built, dtype: torch.dtype, *, starts: bool = True) -> None:
    """Draw a batch and parameters, make an update and read the probes, if any of the classes is the user's own.

    Args:
        built: Objects of the run.
        dtype: Type of parameters and batches.
        starts: Whether the run makes its initial parameters; those of one that is resumed are not drawn here either.

    Raises:
        ConfigError: A class raises, or returns something that its contract does not allow.
    """
    parts: dict[str, Any] = {
        "task": built.task,
        "model": built.model,
        "init": built.inits[0],
        "optim": built.optimizer,
        **{f"probe.{name}": probe for name, probe in built.probes.items()},
    }
    if getattr(built.optimizer, "schedule", None) is not None:
        parts["schedule"] = vars(built.optimizer)["schedule"]
    if any(is_own(type(part)) for part in parts.values()):
        _Rehearsal(built, dtype, parts).run(starts=starts)


class _Rehearsal:
    def __init__(self, built: Built, dtype: torch.dtype, parts: Mapping[str, Any]) -> None:
        self.built, self.dtype, self.parts = built, dtype, parts
        self.seeds = list(range(min(NUM_REPLICAS, len(built.inits))))

    def run(self, *, starts: bool) -> None:
        with self._stage("task"):
            whole = self.built.task.replica_batch(self.seeds, Stream.GRADIENT, 0, NUM_SEQUENCES, dtype=self.dtype)
            self._check_batch(whole)
            self._check_scores(whole)
        engine = Engine(self.built.model, dtype=self.dtype)
        if starts:
            with self._stage("init"):
                theta = draw_parameters(self.built.model, self.built.inits[: len(self.seeds)], self.seeds, engine)
        else:
            size = (len(self.seeds), self.built.model.num_parameters)
            theta = 0.1 * torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=self.dtype)
        own_probes = {name: probe for name, probe in self.built.probes.items() if is_own(type(probe))}
        objective = Objective(engine, loss_of(self.built.task.loss), whole if own_probes else _shortened(whole))
        with self._stage("model"):
            objective.loss_and_gradient(theta)
            if self.built.optimizer.needs_products:
                objective.linearize(theta).product(theta)
            self._check_jacobians(theta, objective.batch)
        if "schedule" in self.parts and is_own(type(self.parts["schedule"])):
            with self._stage("schedule"):
                none = torch.zeros_like(self.parts["schedule"].warmup)
                factor = self.parts["schedule"].decay(none)
                self._check_tensor("schedule", "decay", "factors (R, 1)", factor, tuple(none.shape), torch.float64)
        with self._stage("optim"):
            update = self._update(theta, objective) if is_own(type(self.built.optimizer)) else None
        view = View(
            self.built.model,
            len(objective.batch.inputs),
            theta,
            update or Update.without_step(theta, objective.loss_and_gradient(theta)),
            num_logged=0,
            dependency=self.built.task.dependency,
        )
        for name in own_probes:
            with self._stage(f"probe.{name}"):
                self._check_probe(name, view)

    @contextmanager
    def _stage(self, key: str) -> Iterator[None]:
        """Turn an exception into one line about the part that raised it."""
        try:
            yield
        except Exception as error:
            raise fault(key, error, self.parts) from error

    def _fail(self, key: str, method: str, message: str) -> None:
        raise ConfigError(f"{key}: {type(self.parts[key]).__name__}.{method} {message}")

    def _check_tensor(self, key: str, method: str, name: str, given: Any, shape: tuple[int, ...], dtype: Any) -> None:
        """Check the shape and type of a tensor that a class has returned; dtype None: any floating-point type."""
        if not isinstance(given, Tensor):
            self._fail(key, method, f"must return a tensor as {name}, got {given!r}")
        if given.shape != shape or not (given.dtype == dtype or (dtype is None and given.is_floating_point())):
            wanted = "floating point" if dtype is None else dtype
            found = f"{tuple(given.shape)} of {given.dtype}"
            self._fail(key, method, f"must return {name} of shape {tuple(shape)} and type {wanted}, got {found}")

    def _check_batch(self, batch: Any) -> None:
        task, size = self.built.task, (len(self.seeds), NUM_SEQUENCES)
        if not isinstance(batch, Batch):
            self._fail("task", "draw", f"must return a Batch, got {batch!r}")
        shape = (task.num_steps, *size, task.input_size)
        self._check_tensor("task", "draw", "inputs (T, R, B, input_size)", batch.inputs, shape, self.dtype)
        self._check_tensor("task", "draw", "lengths (R, B)", batch.lengths, size, torch.int64)
        outputs = (task.num_outputs, *size)
        if batch.output_steps is not None:
            name = "output_steps (num_outputs, R, B)"
            self._check_tensor("task", "draw", name, batch.output_steps, outputs, torch.int64)
            if not 0 <= int(batch.output_steps.min()) <= int(batch.output_steps.max()) < task.num_steps:
                self._fail("task", "draw", f"must return output_steps in [0, num_steps) = [0, {task.num_steps})")
        elif task.num_outputs != task.num_steps:
            self._fail("task", "draw", "must return output_steps, unless num_outputs is num_steps")
        if task.loss == "softmax_cross_entropy":
            self._check_tensor("task", "draw", "targets (num_outputs, R, B)", batch.targets, outputs, torch.int64)
            if not 0 <= int(batch.targets.min()) <= int(batch.targets.max()) < task.output_size:
                self._fail("task", "draw", f"must return targets in [0, output_size) = [0, {task.output_size})")
        elif isinstance(task.loss, str):
            name, shape = "targets (num_outputs, R, B, output_size)", (*outputs, task.output_size)
            self._check_tensor("task", "draw", name, batch.targets, shape, self.dtype)

    def _check_scores(self, batch: Batch) -> None:
        """Check loss, misses and scores on outputs that are all zero."""
        task, loss, size = self.built.task, loss_of(self.built.task.loss), batch.lengths.shape
        outputs = torch.zeros(task.num_outputs, *size, task.output_size, dtype=self.dtype)
        losses, gradient = loss.values(outputs, batch.targets), loss.gradient(outputs, batch.targets)
        kind = type(loss).__name__
        if losses.shape != outputs.shape[:-1] or gradient.shape != outputs.shape or gradient.dtype != self.dtype:
            raise ConfigError(
                f"task: {kind}.values must return (num_outputs, R, B) = {tuple(outputs.shape[:-1])} and gradient "
                f"{tuple(outputs.shape)} of {self.dtype}, got {tuple(losses.shape)} and {tuple(gradient.shape)} of "
                f"{gradient.dtype}"
            )
        self._check_tensor("task", "misses", "(R, B)", task.misses(outputs, batch), size, torch.bool)
        scores, tags = task.scores(outputs, losses, batch), [metric.tag for metric in task.evaluation_metrics]
        if sorted(scores) != sorted(tags):
            self._fail("task", "scores", f"must return {tags or 'nothing'}, the evaluation_metrics; got {list(scores)}")
        for tag, score in scores.items():
            if score.shape != size:
                self._fail("task", "scores", f"must return {tag} of shape {tuple(size)}, got {tuple(score.shape)}")

    def _check_jacobians(self, theta: Tensor, batch: Batch) -> None:
        """Check the Jacobians of a model of the user's own, if a probe reads them."""
        model = self.built.model
        needed = {method for probe in self.built.probes.values() for method in probe.needed}
        if is_own(type(model)) and "state_jacobians" in needed:
            size, s = tuple(batch.lengths.shape), model.state_size
            jacobians = model.state_jacobians(theta, torch.zeros(*size, s, dtype=self.dtype), batch.inputs[0])
            self._check_tensor("model", "state_jacobians", "(R, b, s, s)", jacobians, (*size, s, s), self.dtype)
        if is_own(type(model)) and "recurrent_weight" in needed:
            weight, n = model.recurrent_weight(theta), model.hidden_size
            self._check_tensor("model", "recurrent_weight", "(R, n, n)", weight, (len(theta), n, n), self.dtype)

    def _update(self, theta: Tensor, objective: Objective) -> Update:
        """Make one update by an optimizer of the user's own, and check what it returns."""
        optimizer = self.built.optimizer.replicas(torch.tensor(self.seeds))
        state = optimizer.first_state(theta)
        self._check_state("initial_state", state)
        before, kept = theta.clone(), {name: tensor.clone() for name, tensor in state.items()}
        update = optimizer.update(theta, state, 0, lambda _, size: objective.rows(0, min(size, NUM_SEQUENCES)))
        if not isinstance(update, Update):
            self._fail("optim", "update", f"must return an Update, got {update!r}")
        self._check_tensor("optim", "update", "theta (R, P)", update.theta, tuple(theta.shape), self.dtype)
        self._check_state("update", update.state, kept)
        if not torch.equal(theta, before) or any(not torch.equal(state[name], kept[name]) for name in kept):
            self._fail("optim", "update", "must return new tensors, but has changed theta or its state in place")
        tags = [metric.tag for metric in optimizer.metrics]
        if sorted(update.metrics) != sorted(tags):
            self._fail("optim", "update", f"must return the metrics {tags or 'nothing'}, got {list(update.metrics)}")
        return update

    def _check_state(self, method: str, state: Any, before: Mapping[str, Tensor] | None = None) -> None:
        """Check that an optimizer's state is tensors by name, with the replicas as their first axis."""
        if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
            self._fail("optim", method, f"must return the state as a dictionary of tensors, got {state!r}")
        for name, tensor in state.items():
            if tensor.shape[:1] != (len(self.seeds),):
                shape = tuple(tensor.shape)
                self._fail("optim", method, f"must return state tensors (R, ...), got {name} of shape {shape}")
            other = tensor if before is None else before.get(name)
            if other is None or (other.shape, other.dtype) != (tensor.shape, tensor.dtype):
                self._fail("optim", method, f"must keep names, shapes and types of the state, but changes {name}")
        if before is not None and before.keys() - state.keys():
            self._fail("optim", method, f"must keep all of the state, but drops {min(before.keys() - state.keys())}")

    def _check_probe(self, name: str, view: View) -> None:
        """Read a probe of the user's own, and check its numbers against its columns."""
        key, probe = f"probe.{name}", self.built.probes[name]
        columns = probe.columns(self.built.model, self.built.task)
        if not all(isinstance(column, str) for column in columns):
            self._fail(key, "columns", f"must return tags, got {columns!r}")
        scalars = probe.capture(view)().scalars
        unknown = [tag for tag in scalars if tag not in columns]
        if unknown:
            self._fail(key, "capture", f"reads {unknown[0]}, which is not among its columns {', '.join(columns)}")
        for tag, values in scalars.items():
            self._check_tensor(key, "capture", tag, values, (len(view.theta),), None)


def _shortened(batch: Batch) -> Batch:
    """The first steps of a batch, with the outputs moved into them."""
    length = min(NUM_STEPS, len(batch.inputs))
    if batch.output_steps is None:
        return Batch(batch.inputs[:length], batch.lengths.clamp(max=length), None, batch.targets[:length])
    steps = batch.output_steps.clamp(max=length - 1)
    return Batch(batch.inputs[:length], batch.lengths.clamp(max=length), steps, batch.targets)
