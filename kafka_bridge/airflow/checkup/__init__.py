"""The checks of ``kafka-bridge doctor airflow`` that concern Airflow. They change nothing."""
