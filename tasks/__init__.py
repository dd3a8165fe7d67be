"""What is done: the attempt pipeline, send, confirm; locks, ladders, journal.

Celery loads the modules by name (see workers/); nothing happens at import.
"""
