"""Metrics, health and the log lines of a worker."""
