"""Reading a part of a topic once, to learn what it says of a job."""
