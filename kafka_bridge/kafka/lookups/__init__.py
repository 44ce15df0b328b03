"""Read a part of a topic once, to look up jobs."""
