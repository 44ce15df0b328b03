"""The rows of the table. Each module has a function ``run(servers, scale, say)``."""
