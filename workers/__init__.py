"""Where it runs: the Celery app, its queues and the life of a worker."""
