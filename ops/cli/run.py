"""Runs the command line and turns every failure into a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ops.cli.errors import CliError

_EMPTY = "The database is not set up, or set up by another version.\nRun `jeongsi db upgrade`."


def run() -> int:
    """Run `sys.argv`; the exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    from ops.cli.app import app

    return guarded(lambda: app(prog_name="jeongsi"))


def guarded(work: Callable[[], object]) -> int:
    """Do `work`; whatever it raises is told in words on stderr. JEONGSI_DEBUG=1 shows the traceback."""
    try:
        work()
    except SystemExit as end:
        return _code(end)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - nobody reads on
        return 1
    except Exception as error:
        if os.environ.get("JEONGSI_DEBUG"):
            raise
        code, words = _told(error)
        print(words, file=sys.stderr)
        return code
    return 0


def _code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    return end.code if isinstance(end.code, int) else 1


def _told(error: Exception) -> tuple[int, str]:
    """The exit code and the words for an error that reached the top."""
    if isinstance(error, CliError):
        return error.code, str(error)
    from runtime.settings import SettingsError

    if isinstance(error, SettingsError):
        return 1, f"{error}."
    return _told_by_store(error) or _told_by_database(error) or (1, _unexpected(error))


def _told_by_store(error: Exception) -> tuple[int, str] | None:
    if "models.store.errors" not in sys.modules:
        return None
    from models.store.errors import NotFound, Refused, StoreError, Taken
    from ops.cli.errors import refused

    if isinstance(error, Refused):
        return 2, str(refused(error.problems))
    if isinstance(error, StoreError):
        return 2 if isinstance(error, NotFound | Taken) else 1, f"{_capital(str(error))}."
    return None


def _told_by_database(error: Exception) -> tuple[int, str] | None:
    if "psycopg" not in sys.modules:
        return None
    import psycopg
    from psycopg import errors
    from psycopg_pool import PoolTimeout

    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps psycopg's
    if isinstance(cause, errors.UndefinedTable | errors.UndefinedColumn | errors.UndefinedFunction):
        return 1, _EMPTY
    if isinstance(cause, PoolTimeout) or (isinstance(cause, psycopg.OperationalError) and not cause.sqlstate):
        why = str(cause).strip().splitlines()[0] if str(cause) else type(cause).__name__
        return 1, f"The database does not answer: {why}\nIs it running? `jeongsi doctor` tells more."
    if isinstance(cause, psycopg.Error):
        return 1, f"The database refused: {str(cause).strip()}"
    return None


def _unexpected(error: Exception) -> str:
    return f"Unexpected {type(error).__name__}: {error}\nRun it again with JEONGSI_DEBUG=1 to see where."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
