"""Programs that are measured: our worker, and what one would write instead."""
