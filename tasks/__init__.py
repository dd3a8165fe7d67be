"""What is done: the attempt pipeline, send, confirm, upkeep; locks, ladders, journal.

Celery loads the modules by name (see workers/); nothing happens at import.
"""
