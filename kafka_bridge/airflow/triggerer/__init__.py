"""Runs in the triggerer: the shared response readers, and the wait for each job."""
