"""The running worker: from a request that arrives to its committed offset."""
