"""For operators of Kafka: topics, ACLs, dead letters, diagnosis."""
