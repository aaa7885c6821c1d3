"""`rnnbench export`: writes the net of a run into a file that plain torch loads, and prints the code that loads it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnbench import __version__
from rnnbench.commands.output import show
from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import check_utf8, check_writable
from rnnbench.config.given_paths import given_path, no_folder
from rnnbench.config.parser import CommandParser
from rnnbench.config.trust import add_trust_options, trusted_by
from rnnbench.records.messages import say
from rnnbench.run.process import prepare_process


def _parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench export`."""
    parser = CommandParser(
        prog="rnnbench export",
        usage="rnnbench export RUN FILE [--average] [--overwrite]",
        description="Write the trained net of a run into a file, and print the Python code that loads it.",
        epilog="The code needs torch and nothing else; the file contains it too. rnnbench train init=from_file\n"
        "init.path=FILE starts runs from these weights.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="folder of a run, or of a job of a sweep")
    parser.add_argument("file", metavar="FILE", nargs="?", help="file to write, such as net.pt")
    parser.add_argument("--average", action="store_true", help="write the average of the weights (optim.average_decay)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is an exported net")
    add_trust_options(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench export`.

    Returns:
        The exit status.

    Raises:
        ConfigError: The run has no net to export, or the file cannot be written; nothing has been written.
        RecordError: A checkpoint is damaged, or the file could not be written.
    """
    given = _parser().parse_args(words)
    if given.run is None or given.file is None:
        raise ConfigError("rnnbench export needs the folder of a run and the file to write: rnnbench export RUN FILE")
    folder, file = given_path(given.run), Path(given.file).expanduser()
    trusted = trusted_by(given, ["export", *words])
    if not folder.is_dir():
        raise ConfigError(no_folder(folder))
    _check_file(file, overwrite=given.overwrite)
    prepare_process()
    trusted.add_to_path()

    from rnnbench.modules.net_file import CODE, is_exported, net_contents, save_net
    from rnnbench.probing.net import read_saved_net

    if file.exists() and not is_exported(file):
        raise ConfigError(f"{file} is not an exported net, so it is not overwritten")
    net = read_saved_net(folder, trusted, average=given.average)
    if net.warning is not None:
        say(net.warning)
    config = net.config
    source = {"rnnbench": __version__, "name": config.name, "task": config.task.name, "model": config.model.name}
    source |= {"seed": config.seed, "update": net.update}
    try:
        contents = net_contents(net.model, net.parameters, source, str(file))
    except ValueError as error:
        raise ConfigError(f"{folder}: {error}") from error
    save_net(file, contents)
    what = f"the average of {config.name}" if given.average else config.name
    say(f"{what} after update {net.update:,} -> {file}")
    code: str = contents[CODE]
    return show(lambda: [code.rstrip("\n")])


def _check_file(file: Path, *, overwrite: bool) -> None:
    """Check that a file can be written; nothing is created.

    Raises:
        ConfigError: It cannot, or it exists and may not be replaced.
    """
    check_utf8(file)
    if not file.parent.is_dir():
        raise ConfigError(f"FILE: there is no folder {file.parent}")
    check_writable(file.parent, "FILE")
    if file.is_dir():
        raise ConfigError(f"FILE: {file} is a folder; name a file, such as {file / 'net.pt'}")
    if file.exists() and not overwrite:
        raise ConfigError(f"{file} exists; choose another name, or replace it: --overwrite")
