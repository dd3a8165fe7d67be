"""The configuration of an environment as the customer's document looks it up (A36-A39)."""

from __future__ import annotations

from typing import Any

from runtime.settings import Settings, get_settings, settings_for


def get_config(environment: str | None = None) -> dict[str, dict[str, Any]]:
    """Sections `schedule`, `api`, `log` and `room` of this environment, or of the one named.

    Everything comes from the one Settings object: `.env`, `.env.ENVIRONMENT`, the environment's variables,
    the later winning. Secrets are left out. Raises SettingsError for an environment that does not exist.
    """
    settings = get_settings() if environment is None else settings_for(environment)
    return {
        "schedule": _schedule(settings),
        "api": {"timeout": settings.kakao_timeout_s, "url": settings.kakao_api_url},
        "log": {"level": settings.log_level, "levels": dict(settings.log_levels),
                "file_bytes": settings.log_file_bytes, "file_backups": settings.log_file_backups},
        "room": {"default": settings.default_room, "gap": settings.room_gap_s, "quota": settings.room_quota},
    }  # fmt: skip


def _schedule(settings: Settings) -> dict[str, Any]:
    return {
        "timezone": "Asia/Seoul",
        "peak_hours": list(settings.peak_hours),
        "retry_delays": list(settings.retry_delays_s),
        "max_retries": settings.max_tries - 1,
        "confirmation_delay": settings.first_lookup_s,
        "max_recent_hashes": settings.hash_limit,
        "cleanup_days": settings.finished_days,
    }
