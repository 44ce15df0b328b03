"""What services call back: received over HTTP, kept in a topic, heard by the job that waits."""
