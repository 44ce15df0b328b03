"""What a run prints and writes: for a person, as JSON, and for CI."""
