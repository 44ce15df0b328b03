"""What runs in the triggerer: one response reader for all jobs that wait, and the wait for each."""
