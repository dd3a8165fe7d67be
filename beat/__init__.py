"""When: recurrence, planning, dispatch and the Celery Beat scheduler."""
