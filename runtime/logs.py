"""One log for every process: ours, Celery's and the libraries', masked, rotated, with a level per module."""

from __future__ import annotations

import functools
import json
import logging
import logging.handlers
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from runtime.log_lines import InBatches
from runtime.settings import Settings, get_settings

# Told once by our own events; by the library again at every attempt.
QUIET = {"psycopg.pool": "ERROR", "urllib3": "WARNING", "apprise": "CRITICAL"}
TEXT_SHOWN = 50  # characters of a message's text that a log may hold
LONGEST = 2000

_STAMP: Any = structlog.processors.TimeStamper(fmt="iso", utc=True)
_SECRET = re.compile(
    r"token|passw|secret|authorization|cookie|credential|api_?key|apikey|private_key|dsn", re.I
)
_TEXT = frozenset({"text", "body", "content", "message", "message_text", "content_text", "rendered"})
_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_WEBHOOK = re.compile(r"(/webhooks/\d+/|/services/[\w-]+/[\w-]+/)[\w-]+")
_BEARER = re.compile(r"\b(Bearer|KakaoAK|Basic)\s+[\w.~+/=-]+", re.I)


def masked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy fit for a log, at any depth: values of secret-looking keys hidden, texts cut to 50 letters."""
    return {str(key): _masked_value(str(key), value) for key, value in fields.items()}


def _masked_value(key: str, value: Any) -> Any:
    if _is_secret(key):
        return "***" if value else value
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, list | tuple):
        return [_masked_value(key, one) for one in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str):
        return _cut(masked_text(value), TEXT_SHOWN if key in _TEXT else LONGEST)
    return value


@functools.lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return _SECRET.search(key) is not None


def masked_text(text: str) -> str:
    """Passwords inside addresses, Authorization values and webhooks' tokens hidden."""
    if "/" not in text and " " not in text:  # as in all of them; most of what is logged has neither
        return text
    return _WEBHOOK.sub(r"\1***", _BEARER.sub(r"\1 ***", _IN_URL.sub(r"\1:***@", text)))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def log_masked(logger: logging.Logger, level: int, told: str, fields: Mapping[str, Any]) -> None:
    """Log a sentence and fields that were masked already; a fraction of the cost of going through structlog.

    The record is the one that structlog's own formatter expects of structlog.
    """
    said = {"event": told, **fields, "logger": logger.name, "level": logging.getLevelName(level).lower()}
    record = logger.makeRecord(logger.name, level, "", 0, _STAMP(logger, "", said), (), None)
    record._logger, record._name, record.is_masked = logger, "", True
    logger.handle(record)


def configure_logging(*, in_batches: bool = False) -> None:
    """Send everything this process logs to stderr, and to JEONGSI_LOG_FILE if set (1 MiB x 5 kept).

    ``in_batches``: lines leave up to 20 ms later, in one piece (runtime/log_lines.py). May be called again;
    the newest settings hold. Raises SettingsError if the file cannot be opened.
    """
    settings = get_settings()
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line shows them
    structlog.configure(
        processors=[
            structlog.stdlib.add_logger_name,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if getattr(one, "of_jeongsi", False)]:
        root.removeHandler(handler)
        handler.close()
    for plain in _handlers(settings):
        handler = InBatches(plain) if in_batches else plain
        handler.of_jeongsi = True  # type: ignore[attr-defined]
        root.addHandler(handler)
    root.setLevel(settings.log_level)
    for module, level in {**QUIET, **settings.log_levels}.items():
        logging.getLogger(module).setLevel(level)
    logging.captureWarnings(True)


def _handlers(settings: Settings) -> list[logging.Handler]:
    console = logging.StreamHandler(sys.stderr)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    console.setFormatter(_formatter(as_json=as_json))
    if settings.log_file is None:
        return [console]
    settings.log_file.parent.mkdir(parents=True, exist_ok=True)
    file = logging.handlers.RotatingFileHandler(
        settings.log_file,
        maxBytes=settings.log_file_bytes,
        backupCount=settings.log_file_backups,
        encoding="utf-8",
    )
    file.setFormatter(_formatter(as_json=settings.log_format != "console"))
    return [console, file]


def _shared() -> list[Any]:
    return [
        structlog.stdlib.add_log_level,
        _STAMP,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _mask,
    ]


def _formatter(*, as_json: bool) -> logging.Formatter:
    # Tracebacks as plain text, never with local variables: those hold tokens and people's messages.
    last: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    kind = _JsonLines if as_json else structlog.stdlib.ProcessorFormatter
    return kind(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *_shared()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _mask_traceback,
            last,
        ],
    )


class _JsonLines(structlog.stdlib.ProcessorFormatter):
    """What `log_masked` said needs no more than this; the chain of processors is four times as slow."""

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, "is_masked", False):
            return json.dumps(record.msg, ensure_ascii=False, default=str)
        return super().format(record)


def _mask(_logger: Any, _method: str, record: Any) -> Any:
    """The last line of defence, for records that did not come through `emit`."""
    kept = {key: record.pop(key) for key in ("_record", "_from_structlog", "exc_info") if key in record}
    told = record.pop("event", "")
    safe = masked(record)
    return {**safe, "event": masked_text(str(told)), **kept}


def _mask_traceback(_logger: Any, _method: str, record: Any) -> Any:
    if "exception" in record:
        record["exception"] = masked_text(str(record["exception"]))
    return record
