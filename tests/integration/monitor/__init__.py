"""The model of the jobs on a broker."""
