"""Sweeps that are composed and planned, and not run."""

from rnnbench.config.compose import Composer
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.objects import to_dict
from rnnbench.config.overrides import expand_sweep
from rnnbench.config.request import Request
from rnnbench.records.summary import SolvedAt, Summary, write_summary
from rnnbench.sweeps.batches import batch_jobs
from rnnbench.sweeps.closing import sweep_summary
from rnnbench.sweeps.plan import new_plan
from rnnbench.sweeps.planning import plan_groups

SETTINGS = LauncherSettings("inline", 1, 1000, {})


def compose_jobs(*words):
    """The configuration of every job of a sweep."""
    with Composer(Request()) as composer:
        return [composer.compose(lines).config for lines in expand_sweep(composer.parse(words))]


def plan_jobs(folder, *sweeps, settings=SETTINGS):
    """The plan of a sweep whose jobs come in one or several batches; job N is in folder N."""
    plan, first = new_plan(folder, settings, [word for words in sweeps for word in words]), 0
    for words in sweeps:
        configs = compose_jobs(*words)
        names = [str(number) for number in range(first, first + len(configs))]
        plan = plan.extended(plan_groups(batch_jobs(configs), configs, names, settings))
        first += len(configs)
    return plan


def solved(update):
    """Fields of a summary of a job that was solved."""
    return {
        "status": "solved",
        "solved": True,
        "solved_at": SolvedAt(update, 100 * update, 1.0),
        "loss": 0.01,
        "error_rate": 0.004,
    }


def ended(status, error_rate=0.5, loss=0.1, **values):
    """Fields of a summary of a job that ended otherwise."""
    return {"status": status, "error_rate": error_rate, "loss": loss, "updates": 500, **values}


def last_lines(
    folder,
    outcome,
    *sweeps,
    plan=None,
):
    """The last lines of a sweep whose jobs left the summaries that `outcome` gives; None: nothing."""
    if plan is None:
        plan = plan_jobs(folder / "sweep", *(sweeps or [["optim=nag", "budget.updates=500", "seed=range(0,3)"]]))
    (plan.folder / "groups").mkdir(parents=True, exist_ok=True)
    for job in (job for number in plan.numbers() for job in plan.jobs(number)):
        job.folder.mkdir(parents=True, exist_ok=True)
        values = outcome(job.config)
        if values is not None:
            constant = {"baseline_loss": 1 / 6, "baseline_error_rate": 0.922}
            write_summary(job.folder, Summary(**{"config": to_dict(job.config), **constant, **values}))
    return sweep_summary(plan, cwd=folder).plain.splitlines()
