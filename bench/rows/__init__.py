"""The rows of the table, each with a ``run(servers, scale, say)``."""
