"""The response reader: one consumer that tells each waiting job of its own records."""
