"""``make demo``: a process that knows nothing of Airflow does a job of a DAG, while you watch."""
