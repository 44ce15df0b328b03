"""Kafka as kafka-bridge needs it; the only part that imports confluent_kafka."""
