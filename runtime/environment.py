"""Where settings come from: environment, `.env`, secret files, `run.json`; what is said of a wrong one."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from runtime.redis_address import is_sentinel, sentinels_of

PREFIX = "JEONGSI_"
PLAIN = frozenset(
    "database_url redis_url environment log_level kakao_access_token kakao_refresh_token kakao_rest_api_key "
    "kakao_client_secret kakao_api_url kakao_auth_url kakao_bot_url playauto_api_url playauto_api_key "
    "playauto_email playauto_password playauto_authentication_key".split()
)
# JEONGSI_ names that are no settings: which `.env` to read (empty: none), and the fault tests' wrong clock.
ENV_FILE = "JEONGSI_ENV_FILE"
NOT_SETTINGS = frozenset({ENV_FILE, "JEONGSI_CLOCK_SHIFT_S"})
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it, its value and what would be right."""


def variable(field: str) -> str:
    """The environment's name of a setting."""
    return field.upper() if field in PLAIN else PREFIX + field.upper()


def is_secret(info: FieldInfo) -> bool:
    """Whether a setting's value may never be shown."""
    return SecretStr in (info.annotation, *get_args(info.annotation)) or not info.repr


class EnvironmentSource(PydanticBaseSettingsSource):
    """All of our sources as one mapping of field names to raw text."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # only __call__ is used

    def __init__(self, settings_cls: type[BaseSettings], environment: str | None = None) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def __call__(self) -> dict[str, Any]:
        names = read_environment(self._environment)
        found: dict[str, Any] = {}
        for field, info in self.settings_cls.model_fields.items():
            value = names.get(variable(field))
            if is_secret(info):
                value = _from_file(variable(field), value, names)
            if value is not None:
                found[field] = value
        home = self.current_state.get(
            "home", found.get("home", self.settings_cls.model_fields["home"].default)
        )
        local = _local_stack(Path(home).expanduser())
        if found.get("database_url", local.get("database_url")) != local.get("database_url"):
            # Orders of another database are not uploaded to the emulator that a trial has left here.
            local.pop("playauto_api_url", None)
        return local | found


def read_environment(environment: str | None = None) -> dict[str, str]:
    """`.env` of the working folder, then `.env.ENVIRONMENT` (`.env.production`), then the real environment:
    the later wins. An empty value counts as not set. ``environment``: as if ENVIRONMENT said so."""
    env_file = os.environ.get(ENV_FILE, ".env")
    found = {**_dotenv(env_file), **_set(os.environ)}
    chosen = environment or found.get("ENVIRONMENT", "development")
    names = {**_dotenv(env_file), **_dotenv(f"{env_file}.{chosen}" if env_file else ""), **_set(os.environ)}
    return names if environment is None else {**names, "ENVIRONMENT": environment}


def _dotenv(path: str) -> dict[str, str]:
    return _set(dotenv_values(path)) if path else {}


def _set(names: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in names.items() if value}


def _from_file(name: str, value: str | None, names: dict[str, str]) -> str | None:
    path = names.get(f"{name}_FILE")
    if path is None:
        return value
    if value is not None:
        raise SettingsError(f"{name} and {name}_FILE are both set: keep one of them")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{name}_FILE={path}: cannot be read ({reason})") from None


def _local_stack(home: Path) -> dict[str, str]:
    """Addresses that the running local stack left in run.json; nothing if none runs or the file is half."""
    try:
        noted = json.loads((home / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(noted, dict):
        return {}
    return {
        field: noted[field]
        for field in ("database_url", "redis_url", "emulator_url", "playauto_api_url")
        if isinstance(noted.get(field), str)
    }


def check_names(settings: type[BaseSettings]) -> None:
    """Refuse a JEONGSI_ variable that is nearly, but not quite, a setting: a typo must not pass silently."""
    known = {variable(field) for field in settings.model_fields} | NOT_SETTINGS
    known |= {f"{variable(field)}_FILE" for field, info in settings.model_fields.items() if is_secret(info)}
    for name in sorted(read_environment()):
        if not name.startswith(PREFIX) or name in known:
            continue
        bare = {one.removeprefix(PREFIX): one for one in known if one.startswith(PREFIX)}
        near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=0.8)
        if near:
            raise SettingsError(f"{name} is no setting. Did you mean {bare[near[0]]}?")


def explain(settings: type[BaseSettings], error: ValidationError) -> str:
    """One line per wrong setting: the variable, its value (secrets hidden), what is right."""
    names = read_environment()
    lines = []
    for one in error.errors():
        reason = one["msg"].removeprefix("Value error, ")
        if not one["loc"]:
            lines.append(reason)
            continue
        field = str(one["loc"][0])
        name = variable(field)
        value = "(hidden)" if is_secret(settings.model_fields[field]) else repr(names.get(name))
        lines.append(f"{name}={value}: {reason[:1].lower()}{reason[1:]}")
    return "\n".join(lines)


def check_database_url(url: str | None) -> str | None:
    """postgresql://…, whatever driver a SQLAlchemy URL names."""
    if url is None:
        return None
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise ValueError("a PostgreSQL address is needed, like postgresql://user:password@host:5432/jeongsi")
    return f"postgresql://{rest}"


def check_redis_url(url: str | None) -> str | None:
    if url is None:
        return None
    if urlsplit(url).scheme not in {"redis", "rediss", "unix", "sentinel"}:
        raise ValueError(
            "a Redis address is needed, like redis://:password@host:6379/0, or"
            " sentinel://:password@host1:26379,host2:26379/0?master=mymaster"
        )
    if is_sentinel(url):
        sentinels_of(url)
    return url


def check_web_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("a web address is needed, like https://host or http://host:port")
    return url.rstrip("/")


def check_log_level(level: str) -> str:
    if level.upper() not in _LEVELS:
        raise ValueError(f"one of {', '.join(_LEVELS)} is needed")
    return level.upper()


def check_log_levels(raw: object) -> object:
    """`gateways=DEBUG,beat=WARNING` -> {"gateways": "DEBUG", "beat": "WARNING"}."""
    if not isinstance(raw, str):
        return raw
    levels = {}
    for entry in filter(None, (part.strip() for part in raw.split(","))):
        module, equals, level = entry.partition("=")
        if not equals or not module.strip():
            raise ValueError(f"{entry!r} is no MODULE=LEVEL, as in gateways=DEBUG,beat=WARNING")
        levels[module.strip()] = check_log_level(level.strip())
    return levels


def split_numbers(raw: object) -> object:
    """`60,120,300` -> its parts; numbers are checked by the field's own type."""
    return [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
