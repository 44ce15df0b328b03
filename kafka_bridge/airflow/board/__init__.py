"""The board in Airflow's API server: only there, everything but ``address`` is imported."""
