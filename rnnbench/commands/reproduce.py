"""`rnnbench reproduce`: tests a claim of the book or of a paper and prints the findings and the verdict."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.commands.output import show
from rnnbench.config.errors import ConfigError
from rnnbench.config.listing import Choices, wrapped_row
from rnnbench.config.parser import CommandParser
from rnnbench.config.rule import GROUP, load_rule, rule_names
from rnnbench.exit_status import FAILED, OK
from rnnbench.paths import conf_dir
from rnnbench.records.messages import printable, say
from rnnbench.run.process import prepare_process

ROOT = Path("reproductions")  # not in runs/, so that its many nets do not crowd `tensorboard --logdir runs`


@dataclass(frozen=True)
class Options:
    """The options of one call of `rnnbench reproduce`.

    Attributes:
        name: Name of the experiment; None: list all experiments.
        quick: Whether to use fewer nets and smaller sizes, so that it ends within two minutes.
        full: Whether to use the sizes of the paper.
        out: Folder of the experiment.
        quiet: Whether to hide progress.
    """

    name: str | None
    quick: bool
    full: bool
    out: Path
    quiet: bool


def _parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench reproduce`."""
    parser = CommandParser(
        prog="rnnbench reproduce",
        usage="rnnbench reproduce NAME [--quick | --full] [--out FOLDER] [-q]\n"
        "       rnnbench reproduce --list\n       rnnbench reproduce NAME --help",
        description="Test a claim of the book or of a paper: train, measure, draw, and end in a verdict.",
        epilog="The rule is in conf/experiment/NAME.yaml; rnnbench list experiment NAME shows it. The same command\n"
        "continues an interrupted experiment. The verdict is: holds, does not hold, or not decided; each has exit\n"
        "status 0.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="name of the experiment")
    parser.add_argument("--list", action="store_true", help="show the experiments")
    parser.add_argument(
        "--quick", action="store_true", help="fewer nets, smaller sizes: under two minutes on two cores"
    )
    parser.add_argument("--full", action="store_true", help="the sizes of the paper: may take days")
    parser.add_argument(
        "--out", metavar="FOLDER", help=f"folder of the experiment; default: {ROOT}/NAME, NAME_quick or NAME_full"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on the terminal")
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Parse the arguments after `rnnbench reproduce`; --help prints the options and ends the process.

    Raises:
        ConfigError: No name or several names are given, or an option does not exist.
    """
    names = [word for word in words if word in rule_names()]
    if {"-h", "--help"} & {*words} and len(names) == 1:
        print("\n".join(printable(line) for line in [*rule_lines(names[0]), ""]))
    given = _parser().parse_intermixed_args(words)
    if given.list:
        if given.names or given.quick or given.full or given.out:
            raise ConfigError("rnnbench reproduce --list takes no other argument")
        return Options(None, quick=False, full=False, out=ROOT, quiet=False)
    if given.quick and given.full:
        raise ConfigError("rnnbench reproduce takes --quick or --full, not both")
    if len(given.names) != 1:
        got = " ".join(given.names) or "none"
        raise ConfigError(f"rnnbench reproduce needs the name of one experiment, got {got}; --list shows them")
    (name,) = given.names
    out = _default_folder(name, given.quick, given.full) if given.out is None else Path(given.out).expanduser()
    return Options(name, quick=given.quick, full=given.full, out=out, quiet=given.quiet)


def _default_folder(name: str, quick: bool, full: bool) -> Path:
    return ROOT / (name + "_quick" * quick + "_full" * full)


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench reproduce`.

    Returns:
        The exit status: 0 whatever the verdict, 1 if a net could not be trained.

    Raises:
        ConfigError: The experiment does not exist, or its folder cannot be used; nothing has been done.
        RecordError: Another process has locked the folder, or it cannot be written.
    """
    options = parse_options(words)
    if options.name is None:
        return show(list_lines)
    prepare_process()
    return reproduce(options)


def list_lines() -> list[str]:
    """One line per experiment: its name and what it tests, in one sentence."""
    summaries = Choices([conf_dir()]).summaries(GROUP)
    width = max(map(len, summaries))
    return [line for name, summary in summaries.items() for line in wrapped_row(f"{name:<{width}}  ", summary)]


def rule_lines(name: str) -> list[str]:
    """What an experiment claims, and how it is decided."""
    rule = load_rule(name)
    texts = {"source": f'{rule.section}: "{rule.sentence}"', "claim": rule.claim, "theory": rule.theory}
    texts["control"] = rule.control
    return [
        line for label, text in texts.items() if text for line in wrapped_row(f"{label:<8}  ", " ".join(text.split()))
    ]


def reproduce(options: Options) -> int:
    """Run one experiment, or continue it.

    Args:
        options: Options of the command, with the name of an experiment.

    Returns:
        The exit status: 0 whatever the verdict, 1 if a net could not be trained.

    Raises:
        ConfigError: The experiment does not exist, or its folder cannot be used; nothing has been done.
        RecordError: Another process has locked the folder, or it cannot be written.
    """
    from rnnbench.experiments.running import make_experiment, result_lines, run
    from rnnbench.experiments.study import Study, StudyError

    assert options.name is not None
    rule = load_rule(options.name, quick=options.quick, full=options.full)
    experiment = make_experiment(rule)
    study = Study(rule, options.out, quiet=options.quiet, parts=experiment.parts)
    try:
        with study.locked():
            result = run(experiment, study, _command(options))
    except StudyError as error:
        say(str(error))
        return FAILED
    for line in result_lines(result, study.folder):
        print(printable(line))
    return OK


def _command(options: Options) -> str:
    name = str(options.name)
    words = ["rnnbench", "reproduce", name, *["--quick"] * options.quick, *["--full"] * options.full]
    default = _default_folder(name, options.quick, options.full)
    return shlex.join([*words, *([] if options.out == default else ["--out", str(options.out)])])
