"""The wait for each job, and the response readers: in a triggerer, or in a task's own process."""
