"""Classes of one's own that a function may import."""

import argparse
from collections.abc import Iterable
from dataclasses import replace

from rnnbench.api.arguments import Folder, folders_of, names_of
from rnnbench.config.trust import Trusted, trusted_by


def trusted_classes(
    config_dir: Folder | Iterable[Folder], trust: str | Iterable[str], function: str, *arguments: str
) -> Trusted:
    """The folders and modules whose classes may be imported, as by the options --config-dir and --trust.

    Args:
        config_dir: A folder, or several.
        trust: Name of a module, or several.
        function: Function that is called, for the message if a class may not be imported.
        arguments: Its other arguments, as typed.

    Raises:
        ConfigError: An argument has another type, a folder does not exist, or a name is not valid.
    """
    folders = [str(folder) for folder in folders_of("config_dir", config_dir)]
    options = argparse.Namespace(config_dir=folders, trust=names_of("trust", trust))
    return replace(trusted_by(options, ()), command=(function, *arguments), is_call=True)
