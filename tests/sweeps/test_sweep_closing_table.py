"""The table among the last lines of a sweep."""

from planned import ended, plan_jobs, solved
from planned import last_lines as lines

from rnnbench.reports.finding import find_run_folders
from rnnbench.reports.groups import make_groups
from rnnbench.reports.runs import read_runs
from rnnbench.reports.tables import cost_table, outcome_table
from rnnbench.sweeps.closing import LONGEST_LINE

NAG = ("optim=nag", "budget.updates=500")


def table(found):
    """The rows of the table, each as its words."""
    start = next(index for index, line in enumerate(found) if "updates to solve" in line)
    rest = [line.split() for line in found[start + 1 :]]
    return rest[
        : next(index for index, words in enumerate(rest) if words[0] == "and" or words[:2] == ["the", "constant"])
    ]


def test_few_rows_stand_in_the_order_of_the_sweep(tmp_path):
    found = lines(
        tmp_path,
        lambda config: solved(100) if config.optim.lr == 0.1 else ended("budget"),
        [*NAG, "optim.lr=0.3,0.1,0.2"],
    )
    assert [row[0] for row in table(found)] == ["0.3", "0.1", "0.2"]
    assert "best first" not in "\n".join(found)
    assert "medians" not in "\n".join(found)


def test_medians_are_those_of_the_report(tmp_path):
    """Of an even number of jobs, of some that diverged, and of some that are not solved."""
    outcomes = {
        0.1: [solved(27), solved(29), solved(31), {**solved(33), "loss": 0.136}],
        0.2: [solved(40), solved(50), ended("budget", 0.2, 0.13), ended("budget", 0.4, 0.136)],
        0.3: [solved(60), *[ended("diverged", None, None)] * 3],
    }
    given = {rate: iter(values) for rate, values in outcomes.items()}
    found = lines(tmp_path, lambda config: next(given[config.optim.lr]), [*NAG, "optim.lr=0.1,0.2,0.3", "seed=0,1,2,3"])
    told = {row[0]: row[-4:] for row in table([line.replace(" %", "%") for line in found])}
    runs = list(read_runs(find_run_folders([tmp_path / "sweep"]).runs, []))
    groups = make_groups(runs, ["optim.lr"])
    reported = {}
    for outcome, cost in zip(outcome_table(groups).rows, cost_table(groups).rows, strict=True):
        loss, error_rate = (cell.replace(" %", "%").split()[0] for cell in outcome[-2:])
        reported[outcome[0]] = [cost[1].split()[0].replace("not", "-"), loss, error_rate]
    assert {rate: row[-3:] for rate, row in told.items()} == reported
    assert reported["0.1"][0] == "29"
    assert reported["0.3"][:2] == ["-", "inf"]


def test_many_rows_stand_best_first_and_the_worst_are_left_out(tmp_path):
    """By the share solved, then by the cost of a solution, then by the loss."""

    def outcome(config):
        place = round(config.optim.lr * 100)
        if place % 3 == 0:
            return solved(1000 - place)
        if place % 3 == 1:
            return solved(place) if config.seed else ended("budget")
        return ended("budget", loss=1 - place / 100)

    found = lines(tmp_path, outcome, [*NAG, f"optim.lr={','.join(f'{i / 100:g}' for i in range(1, 31))}", "seed=0,1"])
    places = [round(100 * float(row[0])) for row in table(found)]
    best = [place for place in reversed(range(1, 31)) if place % 3 == 0]
    half = [place for place in range(1, 31) if place % 3 == 1]
    none = [place for place in reversed(range(1, 31)) if place % 3 == 2]
    assert places == [*best, *half, *none][:24]
    assert "  and 6 rows more, none better: see the report" in found
    assert "  medians over the seeds, best first" in found
    assert "             with more than 40 runs TensorBoard selects none: select some in its list".strip() in [
        line.strip() for line in found
    ]


def test_only_what_differs_is_shown(tmp_path):
    found = lines(
        tmp_path,
        lambda config: solved(1),
        [
            *NAG,
            "optim.lr=0.1",
            "task.sequence_length=50,60",
            "optim.momentum=0.9,0.98",
            "model.hidden_size=7",
            "seed=1,2",
        ],
    )
    assert found[2].split("solved")[0].split() == ["sequence_length", "momentum"]
    assert [row[:5] for row in table(found)] == [
        [length, momentum, "2", "of", "2"] for length in ("50", "60") for momentum in ("0.9", "0.98")
    ]


def test_keys_of_the_same_name_are_told_in_full(tmp_path):
    found = lines(
        tmp_path,
        lambda config: solved(1),
        ["probe.gradient_norm.every=1,2", "probe.state_gradient.every=1,2", "optim.damping=1,2"],
    )
    assert found[1].split("solved")[0].split() == [
        "damping",
        "gradient_norm.every",
        "state_gradient.every",
    ]


def test_a_key_that_only_one_choice_has(tmp_path):
    found = lines(tmp_path, lambda config: solved(1), ["optim=nag", "optim.batch_size=3,4"], ["optim=hf"])
    assert [row[:2] for row in table(found)] == [["nag", "3"], ["nag", "4"], ["hf", "-"]]


def test_parts_of_a_group_and_jobs_of_several_batches_are_one_row(tmp_path):
    """As a memory that is too small, or a sweeper that searches, makes them."""
    plan = plan_jobs(tmp_path / "sweep", [*NAG, "seed=range(0,4)", "optim.lr=0.1"], [*NAG, "optim.lr=0.2", "seed=8,9"])
    plan = plan.split(0, [[0], [1, 2, 3]])
    found = lines(tmp_path, lambda config: solved(1), plan=plan)
    assert [row[:4] for row in table(found)] == [["0.2", "2", "of", "2"], ["0.1", "4", "of", "4"]]


def test_tasks_with_constant_predictors_of_their_own(tmp_path):
    def outcome(config):
        loss = 0.2 if config.task.name == "adding" else 0.3
        return {**solved(1), "baseline_loss": loss}

    found = lines(tmp_path, outcome, [*NAG, "task=adding,xor", "seed=0,1"])
    assert "  the constant predictor: adding loss 0.2, error rate 92.2 %; xor loss 0.3, error rate 92.2 %" in found
    found = lines(
        tmp_path / "2",
        lambda config: {**solved(1), "baseline_loss": config.task.sequence_length},
        [*NAG, "task.sequence_length=50,60"],
    )
    assert "constant" not in "\n".join(found)


def test_long_keys_and_values_do_not_make_lines_too_long(tmp_path):
    found = lines(
        tmp_path,
        lambda config: ended("diverged" if config.seed else "budget"),
        [
            *("optim=nag", "probe=none,default", "init.initial_state_scale=0,0.1", "optim.weight_decay=0,1e-5"),
            *("optim.initial_momentum=0.9,0.12345678901234567", "optim.initial_momentum_updates=1,2", "seed=0,1"),
        ],
    )
    rows = found[2 : 2 + 1 + 24]
    assert all(len(line) <= LONGEST_LINE for line in rows)
    assert max(map(len, rows)) == LONGEST_LINE
    assert {line[-len("diverged  updates to solve  loss  error rate") :] for line in rows[:1]} == {
        "diverged  updates to solve  loss  error rate"
    }
    assert all(line.endswith("50.0 %") for line in rows[1:])
    assert "…" in rows[0]
