"""The Celery application: queues, routes, pool and events, so that plain `celery -A workers …` just works.

Settings are read when Celery first needs its configuration, never at import.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import celeryd_init, setup_logging
from kombu import Exchange, Queue

from runtime.events import configure_logging
from runtime.redis_address import for_celery
from runtime.settings import get_settings
from workers import transport

#: What each queue carries. Sends and uploads have workers of their own: 1,000 uploads never delay 09:00.
QUEUES = {
    "send": "slots to send",
    "confirm": "slots to find out about",
    "tracking": "tracking-number uploads",
    "notify": "notices to operators",
    "sync": "data synchronisation",
    "upkeep": "clean-up that may wait; what may not is done by the beat itself",
    "enqueue": "what other services ask for",
}

ROUTES = {
    "jeongsi.slot.send": {"queue": "send"},
    "jeongsi.slot.confirm": {"queue": "confirm"},
    "jeongsi.message.*": {"queue": "enqueue"},
    "jeongsi.tracking.*": {"queue": "tracking"},
    "jeongsi.notify": {"queue": "notify"},
    "jeongsi.sync.*": {"queue": "sync"},
    "jeongsi.upkeep.*": {"queue": "upkeep"},
}

#: Modules with tasks and with the worker's life, by name only. Not Celery's `imports`: that would load
#: HTTP, image and provider code into every beat and Flower, too.
MODULES = (
    "tasks.slots", "tasks.messages", "tasks.lifecycle", "tasks.notices", "tasks.notice_life",
    "tasks.tracking.runs", "tasks.tracking.life",
)  # fmt: skip


def configuration() -> dict[str, Any]:
    """Celery's settings. Why each is as it is stands in docs/decisions/0003-celery-settings.md."""
    settings = get_settings()
    address, sentinel = for_celery(settings.needed_redis_url())
    return {
        "broker_url": address,
        "result_backend": address,
        "result_backend_transport_options": dict(sentinel),
        "result_expires": 3600,
        # Exchange '' is a plain list push: bindings lost in a FLUSHALL do not matter, foreign clients
        # need none.
        "task_queues": [Queue(name, Exchange(""), routing_key=name) for name in QUEUES],
        "task_default_queue": "upkeep",
        "task_default_exchange": "",
        "task_default_routing_key": "upkeep",
        "task_routes": ROUTES,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_publish_retry": False,
        "task_track_started": False,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_pool": "threads",
        "worker_concurrency": settings.worker_concurrency,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_soft_shutdown_timeout": 15.0,
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_timeout": 3,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "visibility_timeout": 3600,
            "queue_order_strategy": "round_robin",
            **sentinel,
        },
        "timezone": "Asia/Seoul",
        "enable_utc": True,
        "beat_scheduler": "beat.scheduler:LedgerScheduler",
        "beat_max_loop_interval": 1,
        "beat_enable_remote_control": True,
    }


def make_app() -> Celery:
    """A Celery app with our configuration, not yet read."""
    transport.use_everywhere()
    made = Celery("jeongsi")
    made.add_defaults(configuration)
    return made


@celeryd_init.connect
def _load_tasks(instance: Any, **_: Any) -> None:
    """Workers alone run tasks. Sent before the worker's own start, which `tasks.lifecycle` hears."""
    for module in MODULES:
        instance.app.loader.import_task_module(module)


@setup_logging.connect
def _our_logging(**_: Any) -> None:
    """Celery would replace our handlers; being connected is what stops it."""
    configure_logging(in_batches=True)


app = make_app()
