"""The programs that are measured: our worker, and its hand-written alternatives."""
