"""Child processes of a worker that run handlers with ``process=True``."""
