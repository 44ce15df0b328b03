"""The response reader: one consumer notifies each waiting job of its own records."""
