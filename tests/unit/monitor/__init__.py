"""The model of the jobs, without a broker."""
