"""Runs jobs as programs: one process per job."""
