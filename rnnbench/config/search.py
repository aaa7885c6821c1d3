"""Turns the arguments of `rnnbench tune` into a sweep of randomly drawn settings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from rnnbench.config.compose import GROUPS, Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import has_key
from rnnbench.config.folders import SUBDIR
from rnnbench.config.hydra_keys import PLANNED_SWEEPER
from rnnbench.config.listing import folders_of
from rnnbench.config.objects import to_config
from rnnbench.config.overrides import ZIP
from rnnbench.config.ranges import RANGES, Range, draw_settings, make_range, stated_ranges
from rnnbench.config.request import Request
from rnnbench.config.setting import check_key
from rnnbench.config.validate import validate
from rnnbench.records.tuning import Tuning

NUM_SEEDS, NUM_FRESH_SEEDS = 3, 16
"""Seeds of every trial, and seeds with which the best one is confirmed."""

SEED = "seed"

SEARCHABLE = ("optim.", "schedule.", "init.", "model.")
ONLY_NUMBERS = (
    "only numbers of optim, schedule, init and model can be searched; settings with different tasks, budgets or seeds "
    "cannot be compared"
)
"""Beginnings of the keys that may be searched, and the message on any other."""


def plan_search(request: Request, trials: int) -> tuple[Request, Tuning]:
    """Draw the settings of a search.

    The ranges of an optimizer's keys are in its file. A key that the command gives is not searched; one that it gives
    as interval(LOW,HIGH) is searched there, whatever its group.

    Args:
        request: Options and overrides of the command.
        trials: Number of settings.

    Returns:
        The request of the sweep over the settings, each with the same seeds; and how the search is made.

    Raises:
        ConfigError: There is nothing to search, a range is invalid, or the request is itself a sweep.
    """
    with Composer(request) as composer:
        given = composer.parse(request.overrides)
        for override in given:
            if override.is_sweep_override() and not override.is_interval_sweep():
                raise ConfigError(
                    f"{override.input_line} has several values; rnnbench tune searches ranges, as in "
                    "optim.lr=interval(1e-3,1), and trains one setting of everything else"
                )
        fixed = [override for override in given if not override.is_sweep_override()]
        tree, hydra = composer.compose_tree([str(override.input_line) for override in fixed])
        intervals = {override.key_or_group: override for override in given if override.is_sweep_override()}
        for override in intervals.values():
            if composer.is_group(override) or not override.key_or_group.startswith(SEARCHABLE):
                raise ConfigError(f"{override.input_line}: {ONLY_NUMBERS}")
            check_key(override, tree, GROUPS)
        if not OmegaConf.missing_keys(tree):
            validate(to_config(tree))  # here an error names no values that were drawn
    _check_sweeper(hydra.hydra)
    ranges = _ranges(request, tree, hydra.hydra, fixed, intervals)
    first_seed = int(tree.seed)
    seeds = range(first_seed, first_seed + NUM_SEEDS)
    settings = draw_settings(ranges, first_seed, trials)
    own = [str(item.input_line) for item in fixed if item.get_key_element() != SEED]
    tuning = Tuning(
        words=[*_options(request), *(line for line in own if not line.lstrip("+~").startswith("hydra"))],
        searched={key: (own_range.low, own_range.high) for key, own_range in ranges.items()},
        trials=trials,
        seeds=list(seeds),
        fresh_seeds=list(range(seeds.stop, seeds.stop + NUM_FRESH_SEEDS)),
    )
    return dataclasses.replace(request, overrides=(*own, *_sweep(settings, seeds)), multirun=True), tuning


def _options(request: Request) -> list[str]:
    """The options of a request that say where its configuration lies."""
    default = Request()
    folders = {"--config-path": request.config_path, "--config-dir": request.config_dir}
    options = [f"{option}={folder}" for option, folder in folders.items() if folder is not None]
    return options + ([] if request.config_name == default.config_name else [f"--config-name={request.config_name}"])


def _sweep(settings: Sequence[Mapping[str, float]], seeds: Sequence[int]) -> list[str]:
    """The overrides of a sweep over some settings, in which the seed varies fastest."""
    keys = list(settings[0])
    lines = [f"{key}={','.join(repr(setting[key]) for setting in settings)}" for key in keys]
    lines.append(f"{SEED}={','.join(map(str, seeds))}")
    if len(keys) > 1:
        lines.append(f"{ZIP}=[{','.join(keys)}]")
    return [*lines, f"{SUBDIR}=${{hydra.job.num}}"]


def _check_sweeper(hydra: DictConfig) -> None:
    """Check that nothing else makes a sweep.

    Args:
        hydra: Hydra's own part of the configuration.
    """
    sweeper = hydra.sweeper
    if sweeper._target_ != PLANNED_SWEEPER:
        raise ConfigError("rnnbench tune searches by itself: omit hydra/sweeper")
    swept = [*(sweeper.params or {}), *(["zip"] if sweeper.zip else [])]
    if swept:
        raise ConfigError(f"rnnbench tune trains one setting of everything else, but hydra.sweeper has {swept[0]}")


def _ranges(
    request: Request, tree: DictConfig, hydra: DictConfig, fixed: Sequence[Override], intervals: Mapping[str, Override]
) -> dict[str, Range]:
    """The range of every searched key.

    Args:
        request: Options and overrides of the command.
        tree: Configuration with the fixed values.
        hydra: Hydra's own part of it.
        fixed: Overrides with one value.
        intervals: Key -> override with a range.
    """
    optim = str(hydra.runtime.choices.optim)
    in_file = stated_ranges(folders_of(request).files("optim"), optim)
    stated = {f"optim.{name}": pair for name, pair in in_file.items()}
    given = {item.key_or_group for item in fixed}
    bounds = {key: pair for key, pair in stated.items() if key not in given}
    for key, override in intervals.items():
        interval: Any = override.value()
        bounds[key] = [interval.start, interval.end]
    if not bounds:
        if stated:
            raise ConfigError(f"nothing is left to search: {', '.join(stated)} are given")
        raise ConfigError(
            f"optim={optim} states no ranges to search; add `{RANGES}: {{lr: [LOW, HIGH]}}` to its file, or give some, "
            "as in optim.lr=interval(1e-4,1)"
        )
    return {key: _range(tree, key, pair) for key, pair in bounds.items()}


def _range(tree: DictConfig, key: str, bounds: Any) -> Range:
    """The range of one key; the limits and the type of the key decide how it is searched."""
    part, _, name = key.rpartition(".")
    node = OmegaConf.select(tree, part) if part else tree
    if not isinstance(node, DictConfig) or not has_key(tree, key):
        raise ConfigError(
            f"optim={tree.optim.name}: its file has a range ({RANGES}) for {key}, but there is no such key"
        )
    kind = OmegaConf.get_type(node)
    fields = {field.name: field for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}
    field = fields.get(name)
    types = {field.type, *get_args(field.type)} if field is not None else {type(node.get(name))}
    if types.isdisjoint((int, float)) or get_origin(field.type if field is not None else None) is list:
        raise ConfigError(f"{key} is no number: {ONLY_NUMBERS}")
    is_whole = float not in types
    is_below_one = field is not None and field.metadata.get("below") == 1
    return make_range(key, bounds, is_below_one=is_below_one, is_whole=is_whole)
