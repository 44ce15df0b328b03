"""What runs when a task submits a job: its request, its stored id, its earlier attempts."""
