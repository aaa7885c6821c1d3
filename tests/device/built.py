"""What a command's words come to, on any device."""

import torch

from rnnbench.config.build import build
from rnnbench.config.listing import Choices
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.objective.engine import Engine
from rnnbench.paths import conf_dir
from rnnbench.training.problem import Problem, draw_parameters

CPU = torch.device("cpu")


def choices(group):
    return sorted(Choices([conf_dir()]).summaries(group))


def built_from(words):
    """Two replicas of what the words say."""
    config = make_plan(parse_request(words)).configs[0]
    return build([config, config])


def problem_on(device, built, dtype=torch.float64):
    return Problem(built.task, Engine(built.model, device=device, dtype=dtype), [0, 1])


def start_of(problem, built):
    """First parameters and state of the optimizer."""
    theta = draw_parameters(built.model, built.inits, problem.seeds, problem.engine)
    return theta, built.optimizer.initial_state(theta)
