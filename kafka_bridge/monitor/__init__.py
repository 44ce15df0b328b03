"""One model of the jobs, built from their records in Kafka. It draws nothing."""
