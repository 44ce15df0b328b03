"""Jobs that programs do: one is started for each."""
