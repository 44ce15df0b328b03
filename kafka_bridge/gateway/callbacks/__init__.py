"""Callbacks of services: received over HTTP, stored in a topic, read by the job that waits."""
