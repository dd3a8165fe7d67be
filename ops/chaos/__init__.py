"""The chaos run: the whole system under every fault we can think of, and a checker that may say no.

    python -m ops.chaos                 the default size, about five minutes
    python -m ops.chaos --control ponr-off

Everything is real (Postgres with fsync, Valkey, `celery -A workers` processes, an emulated provider with a
receipt log); only durations are scaled, by settings. docs/reliability.md says what is proven how.
"""
