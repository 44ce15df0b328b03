"""``make demo``: watch how a process without Airflow runs a job of a DAG."""
