"""How often a run waits for its device, counted on the simulated one."""

import pytest
import torch
from built import built_from, problem_on, start_of

from rnnbench.objective.conjugate_gradient import CgRules, conjugate_gradient
from rnnbench.objective.objective import Objective
from rnnbench.optim.hessian_free_step import SYNC_EVERY

SIZES = ["task.sequence_length=20", "model.hidden_size=4"]


def second_update(simulated, words, before_second=lambda: None):
    """The update, and what passed between device and host meanwhile; the first leaves constants on the device."""
    built = built_from([*words, *SIZES])
    problem = problem_on(simulated.DEVICE, built)
    theta, state = start_of(problem, built)
    update = built.optimizer.update(theta, state, 0, problem.draw(0))
    before_second()
    with simulated.traffic() as found:
        update = built.optimizer.update(update.theta, update.state, 1, problem.draw(1))
    return update, found


def test_what_passes_is_noted(simulated):
    x = torch.ones(3, device=simulated.DEVICE)
    with simulated.traffic() as found:
        assert not found
        x.add_(1).sum()
        assert not found
        x.sum().item(), x.tolist(), x.cpu(), bool((x > 0).all()), x[x > 5], torch.zeros(3).copy_(x)
        assert [way for way, _ in found] == ["read"] * 6
        torch.ones(3).to(simulated.DEVICE), x.copy_(torch.zeros(3))
    assert [way for way, _ in found[6:]] == ["write"] * 2
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(3)


@pytest.mark.parametrize("optim", ["sgd", "nag", "nag optim.form=torch", "adam", "sgd optim.clip_norm=null"])
@pytest.mark.parametrize("task", ["adding", "temporal_order", "memorization_5", "random_permutation", "latch"])
def test_a_first_order_update_has_none(optim, task, simulated):
    update, found = second_update(simulated, [*f"optim={optim}".split(), f"task={task}", "optim.batch_size=8"])
    assert update.sequences.tolist() == [8, 8]
    assert not found


@pytest.mark.parametrize(("num_iterations", "num_reads"), [(7, 1), (20, 2), (35, 4)])
def test_conjugate_gradients_are_read_every_ten_iterations(num_iterations, num_reads, simulated):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand((2, 50, 50), generator=generator, dtype=torch.float64)
    matrix, target = (matrix @ matrix.mT).to(simulated.DEVICE), matrix[:, 0].to(simulated.DEVICE)
    never = torch.zeros(2, dtype=torch.float64, device=simulated.DEVICE)
    rules = CgRules(max_iterations=num_iterations, tolerance=never, residual_tolerance=never, sync_every=SYNC_EVERY)
    with simulated.traffic() as found:
        solved = conjugate_gradient(
            lambda vector, active: (matrix @ vector.unsqueeze(2)).squeeze(2), target, torch.zeros_like(target), rules
        )
    assert found == [("read", "tolist")] * num_reads
    assert solved.num_iterations.tolist() == [num_iterations] * 2


@pytest.mark.parametrize("words", ["", "optim.structural_damping=0", "task=memorization_5 optim.damping=1e-3"])
def test_beside_that_an_update_is_read_once_for_each_step_and_size_that_is_tried(words, simulated, monkeypatch):
    sizes = ["optim.gradient_batch_size=32", "optim.curvature_batch_size=32"]
    evaluated, parts, loss, rows = [], [], Objective.loss, Objective.rows
    monkeypatch.setattr(Objective, "loss", lambda self, theta: evaluated.append(self) or loss(self, theta))
    monkeypatch.setattr(Objective, "rows", lambda self, *of: parts.append(rows(self, *of)) or parts[-1])
    update, found = second_update(simulated, ["optim=hf", *sizes, *words.split()], evaluated.clear)
    reads = [name for way, name in found if way == "read"]
    of_cg = reads.count("tolist")
    assert of_cg == -(-int(update.metrics["hf/cg_iterations"].max()) // SYNC_EVERY)
    # Those on the curvature batch decide together with one on the fresh batch, or without being read. Two decide
    # nothing by themselves: those that walking back and the line search begin with.
    on_fresh_batches = sum(all(one is not part for part in parts) for one in evaluated)
    assert len(reads) == of_cg + on_fresh_batches - 2
