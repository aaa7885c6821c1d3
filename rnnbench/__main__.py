"""Lets `python -m rnnbench` do what `rnnbench` does."""

import sys

from rnnbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
