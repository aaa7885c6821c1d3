"""The packaged tasks, by their files in conf/task: for pages, benchmarks and tests that go through all of them."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from rnnbench.config.build import NOT_ARGUMENTS
from rnnbench.config.classes import import_class
from rnnbench.config.compose import Composer
from rnnbench.config.objects import values_of
from rnnbench.config.request import Request


@cache
def packaged_tasks() -> Mapping[str, Any]:
    """Name of each task -> its constructor, which takes sequence_length and variant."""
    with Composer(Request()) as composer:
        choices = {name: composer.compose([f"task={name}"]).config.task for name in composer.choices("task")}
    left_open = {*NOT_ARGUMENTS, "sequence_length", "variant"}
    constructors: dict[str, Any] = {}
    for name, choice in choices.items():
        own = {key: value for key, value in values_of(choice).items() if key not in left_open}
        build: Callable[..., Any] = import_class("task", choice._target_)
        constructors[name] = partial(build, **own)
    return constructors


def variants(name: str) -> tuple[str, ...]:
    """The variants of a task; the default variant comes first."""
    return tuple(packaged_tasks()[name].func.variants)


def shortest(name: str, variant: str) -> int:
    """The smallest `task.sequence_length` of a variant of a task."""
    build = packaged_tasks()[name]
    length: int = build.func.smallest_length(variant, build.keywords.get(build.func.length_key, 0))
    return length
