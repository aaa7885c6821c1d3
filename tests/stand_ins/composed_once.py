"""Hydra composes each combination of rnnbench's own choices once for all tests of a process, and once before all forks.

A composition takes a tenth of a second, and hundreds of tests begin with one. Where a test adds to the search path, it
is composed each time.
"""

import copy
import os

from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict, read_write

from rnnbench.config import compose as composing
from rnnbench.paths import conf_dir

UNCHANGING = {str(conf_dir()), "pkg://hydra.conf", "structured://"}

_compose, _composed = composing.compose, {}


def compose_once(config_name, overrides, **options):
    """`hydra.compose`, or a copy of what it gave before."""
    folders = {element.path for element in GlobalHydra.instance().config_loader().get_search_path().get_path()}
    if not folders <= UNCHANGING or any("searchpath" in line for line in overrides):
        return _compose(config_name, overrides, **options)
    key = (config_name, *overrides, *options.items())
    if key not in _composed:
        _composed[key] = _compose(config_name, overrides, **options)
    tree = copy.deepcopy(_composed[key])
    OmegaConf.clear_cache(tree)  # which has the time of the first composition
    with read_write(tree.hydra.runtime), open_dict(tree.hydra.runtime):
        tree.hydra.runtime.cwd = os.getcwd()
    return tree


composing.compose = compose_once
