"""What people who run Kafka need: topics, rights, dead letters, diagnosis."""
