"""The `jeongsi` command. Nothing heavy is imported before a command needs it: --help answers at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script."""
    from ops.cli.run import run

    sys.exit(run())
