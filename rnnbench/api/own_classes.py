"""Classes of one's own that a function may import."""

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace

from rnnbench.config.trust import Trusted, trusted_by

Folder = str | os.PathLike[str]


def trusted_classes(config_dir: Folder | Iterable[Folder], trust: str | Iterable[str]) -> Trusted:
    """The folders and modules whose classes may be imported, as by the options --config-dir and --trust.

    Args:
        config_dir: A folder, or several.
        trust: Name of a module, or several.

    Raises:
        ConfigError: A folder does not exist, or a name is not valid.
    """
    folders = [config_dir] if isinstance(config_dir, str | os.PathLike) else list(config_dir)
    modules = [trust] if isinstance(trust, str) else list(trust)
    options = argparse.Namespace(config_dir=[os.fspath(folder) for folder in folders], trust=modules)
    return replace(trusted_by(options, ()), command=())
