"""Jobs that HTTP services do: polled for, called back about, or answered at once."""
