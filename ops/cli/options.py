"""Options that many commands share."""

from __future__ import annotations

import os
from getpass import getuser
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who does this, kept in the history; else your user name."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask back.")]


def example(*lines: str) -> str:
    """The end of a command's help: how it is typed."""
    head = "Example:" if len(lines) == 1 else "Examples:"
    return "\n\n".join([head, *(f"  {line}" for line in lines)])


def acting(given: str | None) -> str:
    """Whose name is kept with what is done."""
    if given and given.strip():
        return given.strip()
    try:
        return os.environ.get("USER") or getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"


def group(help: str) -> typer.Typer:  # noqa: A002 - typer's own name
    """A group of commands; called without one it shows its help."""
    return typer.Typer(
        help=help, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
