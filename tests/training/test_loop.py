"""The rules of the training loop: solved, budgets, divergence, checkpoints, gathering of rows."""

import itertools

import pytest
import torch
from small_runs import Countdown, Levels, training


def test_solved_at_the_first_of_three_evaluations_running():
    run, recorder = training([0.25])  # error rate 1, .75, .5, .25, 0, 0, 0
    run.run()
    replica = run.replicas[0]
    assert replica.status == "solved"
    assert replica.solved_at.update == 4
    assert replica.solved_at.sequences == 40
    assert replica.updates == run.update == 6
    assert recorder.ends == [(6, 0, "solved")]
    assert [row[0] for row in recorder.rows] == [0, 1, 2, 3, 4, 5, 6]


def test_a_miss_in_between_starts_the_count_again():
    rates = iter([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    problem = Levels((0,), error_rate=lambda theta: torch.tensor([next(rates)]), confirmed=lambda theta: torch.zeros(1))
    run, _ = training([0.1], problem=problem)
    run.run()
    assert run.replicas[0].solved_at.update == 4
    assert run.update == 6


def test_the_large_test_set_has_to_confirm():
    answers = iter([0.5, 0.02, 0.001])
    problem = Levels(
        (0,), error_rate=lambda theta: torch.zeros(1), confirmed=lambda theta: torch.tensor([next(answers)])
    )
    run, _ = training([0.1], problem=problem)
    run.run()
    assert run.update == 4  # evaluations at 0, 1, 2: refused; at 3: refused; at 4: confirmed
    assert run.replicas[0].solved_at.update == 2


def test_solved_is_noted_and_training_goes_on_where_asked():
    run, recorder = training([0.5], stop_when_solved=False, max_updates=9)
    run.run()
    replica = run.replicas[0]
    assert (replica.status, replica.solved_at.update, replica.updates) == ("solved", 2, 9)
    assert recorder.ends == [(9, 0, "solved")]


@pytest.mark.parametrize(
    ("budget", "updates", "words"),
    [
        ({"max_updates": 3}, 3, "budget.updates=3 is used up"),
        ({"max_sequences": 35}, 4, "budget.sequences=35 is used up"),
        ({"max_seconds": 0.0}, 0, "budget.minutes=0 is used up"),
    ],
)
def test_budgets(budget, updates, words):
    run, recorder = training([0.0], **budget)
    run.run()
    replica = run.replicas[0]
    assert (replica.status, replica.message, replica.updates) == ("budget", words, updates)
    assert recorder.ends == [(updates, 0, "budget")]


@pytest.mark.parametrize(("confirmed", "status", "solved_at"), [(0.0, "solved", 4), (0.02, "budget", None)])
def test_at_the_end_of_a_budget_the_last_evaluations_are_enough(confirmed, status, solved_at):
    problem = Levels((0,), confirmed=lambda theta: torch.full((len(theta),), confirmed))
    run, recorder = training([0.25], problem=problem, max_updates=5)  # error rate 0 at updates 4 and 5
    run.run()
    replica = run.replicas[0]
    assert (replica.status, replica.solved_at and replica.solved_at.update) == (status, solved_at)
    assert recorder.ends == [(5, 0, status)]


def test_how_often_a_run_is_evaluated_does_not_decide_what_it_ends_as():
    for evaluate_every in range(1, 9):
        run, _ = training([0.125, 0.1], max_updates=8, evaluate_every=evaluate_every, stop_when_solved=False)
        run.run()
        assert [replica.status for replica in run.replicas] == ["solved", "budget"]  # error rates 0 and 0.2


@pytest.mark.parametrize(
    ("budget", "updates", "log_every", "rows"),
    [
        ({"max_sequences": 35}, 4, 3, [0, 3, 4]),
        ({"max_sequences": 35}, 4, 4, [0, 4]),
        ({"max_seconds": 9.0}, 3, 5, [0, 3]),
    ],
)
def test_a_budget_that_ends_between_two_evaluations_ends_with_one(budget, updates, log_every, rows):
    now = [0.0]

    def take_4_seconds(update):
        now[0] += 4

    options = dict(on_update=take_4_seconds, clock=lambda: now[0], log_every=log_every, evaluate_every=50)
    run, recorder = training([0.1, 0.3], max_updates=100, **options, **budget)
    run.run()
    assert [replica.error_rate for replica in run.replicas] == pytest.approx(
        [1 - 0.1 * updates, max(1 - 0.3 * updates, 0)]
    )
    assert [replica.updates for replica in run.replicas] == [updates, updates]
    assert [row[0] for row in recorder.rows] == rows
    assert recorder.rows[-1][2]["error_rate/eval"] == [replica.error_rate for replica in run.replicas]


def test_one_replica_ends_with_an_evaluation_and_the_others_go_on_as_alone():
    run, recorder = training([0.1, 0.1], max_updates=6, max_sequences=60, log_every=9, evaluate_every=4)
    run.replicas[0].sequences = 35.0  # as where products make updates dearer
    run.run()
    assert [replica.updates for replica in run.replicas] == [3, 6]
    assert [(update, who) for update, who, row in recorder.rows if "loss/eval" in row] == [
        (0, [0, 1]),
        (3, [0]),
        (4, [1]),
        (6, [1]),
    ]


def test_evaluations_and_rows_at_their_cadence_and_at_the_end():
    run, recorder = training([0.0], max_updates=11, log_every=2, evaluate_every=5)
    run.run()
    assert [row[0] for row in recorder.rows] == [0, 2, 4, 5, 6, 8, 10, 11]
    assert [row[0] for row in recorder.rows if "loss/eval" in row[2]] == [0, 5, 10, 11]
    assert all("loss/train" in row[2] for row in recorder.rows[1:])


def test_a_diverged_replica_keeps_its_last_finite_parameters_and_the_others_go_on():
    run, recorder = training([0.25, float("nan"), 0.125], max_updates=20)
    run.run()
    assert [replica.status for replica in run.replicas] == ["solved", "diverged", "solved"]
    assert recorder.ends == [(3, 1, "diverged"), (6, 0, "solved"), (10, 2, "solved")]
    theta, state, _ = run.final[1]
    assert theta.tolist() == [0.5]  # 1 - 2 x 0.25, before the third update
    assert state["count"].tolist() == [2]
    assert state["age"].tolist() == 2
    assert run.final[2][1]["age"].tolist() == 10
    assert "replica 1 diverged" in recorder.messages[0]
    assert "not finite at update 3" in run.replicas[1].message


def test_probes_see_what_is_kept_of_the_update_before_also_where_a_replica_has_ended():
    run, recorder = training([0.25, float("nan"), 0.5], start=3.0, keeps_previous=True, max_updates=5)
    views = []
    recorder.observe = lambda update, replicas, values, make_view: views.append(make_view and make_view(0))
    run.run()
    views = views[1:]  # the first row is before any update
    assert views[0].previous is None
    for before, view in itertools.pairwise(views):
        kept = slice(None) if len(before.theta) == len(view.theta) else [0, 2]
        assert torch.equal(view.previous.theta, before.theta[kept])
        assert torch.equal(view.previous.gradient, before.update.gradient.gradient[kept])
    assert [len(view.theta) for view in views] == [3, 3, 3, 2, 2]


def test_replicas_beside_each_other_equal_replicas_alone():
    steps = [0.25, float("nan"), 0.125, 0.0]
    together, recorder = training(steps, max_updates=12)
    together.run()
    for r, step in enumerate(steps):
        alone, own = training([step], max_updates=12)
        alone.run()
        for name in ("status", "message", "updates", "sequences", "products"):
            assert getattr(alone.replicas[0], name) == getattr(together.replicas[r], name)
        assert torch.equal(alone.final[0][0], together.final[r][0])
        rows = [
            (update, values["error_rate/eval"][replicas.index(r)])
            for update, replicas, values in recorder.rows
            if r in replicas
        ]
        own_rows = [(update, values["error_rate/eval"][0]) for update, _, values in own.rows]
        assert repr(rows) == repr(own_rows)  # NaN equals NaN in text


def test_checkpoints_are_of_the_active_replicas_from_the_start_on():
    run, recorder = training([0.5, 0.0], max_updates=9, checkpoint_every=3)
    run.run()
    assert recorder.checkpoints == [(0, [0, 1]), (3, [0, 1]), (6, [1])]


def test_a_checkpoint_is_due_by_time_as_well_as_by_updates():
    now = [0.0]

    def take_4_seconds(update):
        now[0] += 4

    options = dict(on_update=take_4_seconds, clock=lambda: now[0], max_updates=9, checkpoint_every=4)
    run, recorder = training([0.0], checkpoint_seconds=10, **options)
    run.run()
    assert [update for update, _ in recorder.checkpoints] == [0, 3, 4, 7, 8]
    run, recorder = training([0.0], **options)
    run.run()
    assert [update for update, _ in recorder.checkpoints] == [0, 4, 8]


def test_how_replicas_stand_is_told_after_the_row_and_after_they_have_ended():
    run, recorder = training([0.25, float("nan"), 0.0], max_updates=7, log_every=4, evaluate_every=7)
    run.run()
    running, diverged = ["running"] * 3, ["running", "diverged", "running"]
    assert recorder.settled == [
        (0, running, [False] * 3),
        (3, diverged, [False] * 3),
        (4, diverged, [False] * 3),
        (7, ["solved", "diverged", "budget"], [True, False, False]),
    ]


def test_a_replica_whose_records_cannot_be_written_ends_alone():
    def remove_folder(update):
        if update == 2:
            recorder.failures = {1: "cannot write metrics.csv"}

    run, recorder = training([0.0, 0.0], max_updates=6, on_update=remove_folder)
    run.run()
    assert recorder.ends == [(3, 1, "failed"), (6, 0, "budget")]
    assert run.replicas[1].message == "cannot write metrics.csv"
    assert recorder.messages == ["replica 1 failed: cannot write metrics.csv"]
    assert [replicas for _, replicas, _ in recorder.rows] == [[0, 1]] * 4 + [[0]] * 3


def test_a_snapshot_holds_what_a_replica_needs():
    run, _ = training([0.25, 0.0], max_updates=7)
    run.run()
    for index, expected in ((0, -0.5), (1, 1.0)):
        snapshot = run.snapshot([index])
        assert snapshot.theta.tolist() == [[expected]]
        assert snapshot.update == snapshot.replicas[0].updates == run.replicas[index].updates
        assert snapshot.optimizer_state["count"].tolist() == [[snapshot.update]]


def test_a_stall_of_ten_updates_is_reported_once(monkeypatch):
    """Replica 1 stalls from its third update on, replica 0 for nine updates only."""
    monkeypatch.setattr(Countdown, "stalled_message", "try another")
    monkeypatch.setattr(
        Countdown,
        "is_stalled",
        lambda self, update: torch.stack([update.state["age"][0] <= 9, update.state["age"][1] > 2]),
    )
    run, recorder = training([0.0, 0.0], max_updates=40)
    run.run()
    assert recorder.messages == ["replica 1 stalled: try another"]
