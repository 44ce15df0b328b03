"""The Kafka client; the only package that imports confluent_kafka."""
