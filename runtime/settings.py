"""Every setting of Jeongsi: one frozen object, checked once, read at first use and never at import.

Sources, strongest first: the environment, `.env`, files named by `X_FILE` (secrets and URLs), and
for the two servers `run.json` of the local stack. `.env.example` lists them all.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from runtime import channels as _channels
from runtime.environment import (
    EnvironmentSource,
    SettingsError,
    check_database_url,
    check_log_level,
    check_log_levels,
    check_names,
    check_redis_url,
    check_web_url,
    explain,
    split_numbers,
)

__all__ = ["Settings", "SettingsError", "get_settings", "settings_for"]

Seconds = Annotated[float, Field(gt=0, le=86_400 * 366)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]
SecondsList = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(split_numbers), Field(min_length=1)]
HoursList = Annotated[
    tuple[Annotated[int, Field(ge=0, le=23)], ...],
    NoDecode,
    BeforeValidator(split_numbers),
    Field(min_length=1),
]
WebUrl = Annotated[str, AfterValidator(check_web_url)]
LogLevel = Annotated[str, AfterValidator(check_log_level)]
LogLevels = Annotated[dict[str, str], NoDecode, BeforeValidator(check_log_levels)]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
# Addresses hold passwords, so they are treated as secrets: never shown, and readable from a file.
DatabaseUrl = Annotated[str | None, AfterValidator(check_database_url), Field(repr=False)]
RedisUrl = Annotated[str | None, AfterValidator(check_redis_url), Field(repr=False)]
BotUrls = Annotated[str, AfterValidator(_channels.check), Field(repr=False)]


class Settings(BaseSettings):
    """Names of people's variables are plain (`DATABASE_URL`); our own knobs start with `JEONGSI_`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    as_if: ClassVar[str | None] = None
    """Read as if ENVIRONMENT said so; see `settings_for`."""

    # Servers. None means: the local stack is not running and no server was named.
    database_url: DatabaseUrl = None
    redis_url: RedisUrl = None
    environment: Literal["development", "production", "testing"] = "development"
    home: Annotated[Folder, Field(validate_default=True)] = Path(".jeongsi")

    # What is logged, and where to. The file is rotated at log_file_bytes, log_file_backups old ones are kept.
    log_level: LogLevel = "INFO"
    log_levels: LogLevels = {}
    log_format: Literal["auto", "console", "json"] = "auto"
    log_file: Path | None = None
    log_file_bytes: Count = 1024 * 1024
    log_file_backups: Count = 5

    # Providers.
    kakao_access_token: SecretStr | None = None
    kakao_refresh_token: SecretStr | None = None
    kakao_rest_api_key: SecretStr | None = None
    kakao_client_secret: SecretStr | None = None
    kakao_api_url: WebUrl = "https://kapi.kakao.com"
    kakao_auth_url: WebUrl = "https://kauth.kakao.com"
    kakao_bot_url: BotUrls = ""
    kakao_timeout_s: Seconds = 5.0
    kakao_refresh_ahead_s: Seconds = 600.0
    kakao_long_text: Literal["split", "refuse"] = "split"
    kakao_link: WebUrl = "https://talk.kakao.com"
    playauto_api_url: WebUrl = "https://openapi.playauto.io/api"
    playauto_api_key: SecretStr | None = None
    playauto_email: str | None = None
    playauto_password: SecretStr | None = None
    playauto_authentication_key: SecretStr | None = None
    playauto_timeout_s: Seconds = 30.0
    playauto_send_by: Literal["uniq", "bundle_no"] = "uniq"
    playauto_read_back_days: Count = 180
    playauto_callback_url: WebUrl | None = None
    bridge_token: SecretStr | None = None
    emulator_url: WebUrl | None = None
    # Iris: how long a send itself waits to see its message in the room, before that is left to look-ups.
    iris_read_back_s: Seconds = 1.5

    # A worker's hold on a slot, in seconds.
    lock_ttl_s: Seconds = 3.0
    lease_s: Seconds = 4.0
    renew_s: Seconds = 1.0
    http_deadline_s: Seconds = 10.0
    ponr_lease_s: Seconds = 12.0
    guard_ms: Count = 500
    settle_s: Seconds = 60.0
    first_lookup_s: Seconds = 15.0
    early_wait_ms: Annotated[int, Field(ge=0)] = 250
    part_gap_wait_s: Annotated[float, Field(ge=0)] = 2.0
    redis_gone_s: Seconds = 5.0
    worker_concurrency: Count = 16

    # Tries, each delay counted from the end of the try before.
    retry_delays_s: SecondsList = (60.0, 120.0, 300.0, 600.0)
    fast_delays_s: SecondsList = (1.0, 2.0, 5.0, 10.0)
    max_tries: Count = 5

    # Defaults of a schedule and of a room. The calls of docs/calls.md send to default_room.
    peak_hours: HoursList = (8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
    default_room: str | None = None
    grace_s: Annotated[int, Field(ge=0)] = 300
    validity_max_s: Count = 1800
    validity_min_s: Count = 30
    room_gap_s: Annotated[float, Field(ge=0)] = 30.0
    room_quota: Count = 50

    # The beat.
    horizon_s: Seconds = 900.0
    republish_s: Seconds = 5.0
    republish_prepared_s: Seconds = 1.0
    prepare_ahead_s: Seconds = 1.5
    prepared_stale_s: Seconds = 2.0
    tick_max_s: Seconds = 1.0
    plan_chunk: Count = 5000
    dispatch_chunk: Count = 2000
    plan_budget_ms: Count = 200
    catch_up_max: Count = 10_000
    hint_max: Count = 100

    # How long things are kept, in days.
    finished_days: Count = 7
    ledger_days: Count = 90
    log_days: Count = 30
    order_days: Count = 90
    upload_days: Count = 90

    # What other services ask for: content hashes per room and how long they and idempotency keys are kept.
    hash_limit: Count = 100
    hash_days: Count = 7
    key_days: Count = 30

    # Uploads of tracking numbers: requests in flight of one process, its hold on a chunk of orders, and how
    # long a sending may stay unconfirmed before it is repeated once. console_url: where notices link to.
    tracking_threads: Annotated[int, Field(ge=1, le=32)] = 2
    tracking_nice: Annotated[int, Field(ge=0, le=19)] = 10
    tracking_lease_s: Seconds = 10.0
    tracking_confirm_s: Seconds = 900.0
    console_url: WebUrl | None = None

    # Flower. Without a password one is made and kept in home.
    flower_address: str = "127.0.0.1"
    flower_port: Port = 5555
    flower_user: str = "jeongsi"
    flower_password: SecretStr | None = None

    # Notices to operators. Addresses are secrets: a webhook's URL is all that is needed to write to it.
    notice_urls: SecretStr | None = None
    notice_language: Literal["ko", "en"] = "ko"
    notice_per_hour: Annotated[int, Field(ge=1, le=3600)] = 20
    notice_burst: Annotated[int, Field(ge=1, le=100)] = 5
    notice_deadline_s: Seconds = 10.0
    notice_watch_s: Seconds = 10.0
    notice_late_s: Seconds = 10.0
    notice_streak: Count = 3
    error_after: Annotated[int, Field(ge=0, le=1000)] = 5
    discord_url: WebUrl = "https://discord.com"
    slack_url: WebUrl = "https://hooks.slack.com"

    # What secrets in tables are sealed with; without one, outside production, a key is made and kept in home.
    secret_key: SecretStr | None = None

    # Fault tests only; refused in production.
    failpoints: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our own reader in place of the four stock ones: it alone knows X_FILE and names the variable."""
        return init_settings, EnvironmentSource(settings_cls, cls.as_if)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings that only make sense together. Each sentence names both and what is right."""
        rules = {
            "JEONGSI_RENEW_S must be below JEONGSI_LOCK_TTL_S, else the lock ends between two renewals":
                self.renew_s < self.lock_ttl_s,
            "JEONGSI_LOCK_TTL_S must not be above JEONGSI_LEASE_S, else a freed slot stays locked":
                self.lock_ttl_s <= self.lease_s,
            "JEONGSI_PONR_LEASE_S must be at least JEONGSI_HTTP_DEADLINE_S + JEONGSI_GUARD_MS, else a "
            "slot is reaped while its request is still running":
                self.ponr_lease_s >= self.http_deadline_s + self.guard_ms / 1000,
            "JEONGSI_SETTLE_S must be above JEONGSI_HTTP_DEADLINE_S, else absence is believed while the "
            "request is still running":
                self.settle_s > self.http_deadline_s,
            "JEONGSI_FIRST_LOOKUP_S must not be above JEONGSI_SETTLE_S": self.first_lookup_s <= self.settle_s,
            "JEONGSI_VALIDITY_MIN_S must not be above JEONGSI_VALIDITY_MAX_S":
                self.validity_min_s <= self.validity_max_s,
            "JEONGSI_RETRY_DELAYS_S needs a delay for every try after the first (JEONGSI_MAX_TRIES - 1)":
                len(self.retry_delays_s) >= self.max_tries - 1,
        }  # fmt: skip
        broken = [sentence for sentence, holds in rules.items() if not holds]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    def channels(self) -> dict[str, str]:
        """Channel name -> URL behind it: KAKAO_BOT_URL's room bots, Kakao's own API if there is a credential
        for it, then the emulator's."""
        own = (self.kakao_access_token, self.kakao_refresh_token, self.kakao_rest_api_key)
        kakao = _channels.of_kakao(self.kakao_api_url) if any(own) else {}
        return _channels.parse(self.kakao_bot_url) | kakao | _channels.of_emulator(self.emulator_url)

    def needed_database_url(self) -> str:
        """`database_url`, or a SettingsError that says how to get one."""
        if self.database_url is None:
            raise SettingsError(_NO_SERVER.format(name="DATABASE_URL", server="PostgreSQL", home=self.home))
        return self.database_url

    def needed_redis_url(self) -> str:
        """`redis_url`, or a SettingsError that says how to get one."""
        if self.redis_url is None:
            raise SettingsError(_NO_SERVER.format(name="REDIS_URL", server="Redis", home=self.home))
        return self.redis_url


_NO_SERVER = (
    "{name} is not set, and no local stack runs in {home}. Start one with `make up`, or set {name} to a "
    "{server} of your own"
)


def settings_for(environment: str) -> Settings:
    """The settings under another ENVIRONMENT, `.env.ENVIRONMENT` included (A36). Raises SettingsError."""

    class Chosen(Settings):
        as_if = environment

    try:
        return Chosen()
    except ValidationError as error:
        raise SettingsError(explain(Settings, error)) from None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """This process's settings, read once. Raises SettingsError naming each wrong variable and why."""
    check_names(Settings)
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(explain(Settings, error)) from None
