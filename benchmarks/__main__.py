"""Compare rnnbench with other packages, in a checkout: python -m benchmarks [GROUP] [OPTIONS]."""

import signal
import sys
from collections.abc import Sequence

from benchmarks.options import parse_options
from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import BAD_INPUT, of_signal
from rnnbench.run.allocator import prepare_allocator


def main(words: Sequence[str] | None = None) -> int:
    """Run benchmarks.

    Args:
        words: Arguments of the command; None: those of this process.

    Returns:
        The exit status: 0; 1 if a comparison fails or its file cannot be written; 2 for bad input; 130 after Ctrl-C.
    """
    try:
        options = parse_options(sys.argv[1:] if words is None else words)
        prepare_allocator()  # as every command of rnnbench does; it also serves the peers in this process
        from benchmarks.groups import run

        return run(options)
    except ConfigError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return of_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
