"""Measurements as programs that anyone can run; never timed tests."""
