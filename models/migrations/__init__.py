"""Alembic migrations: expand first, contract a release later, so that old and new workers coexist."""
