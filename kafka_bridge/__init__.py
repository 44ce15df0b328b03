"""kafka-bridge: an Airflow task hands its work to a service outside Airflow over Kafka."""

__version__ = "0.2.0"
