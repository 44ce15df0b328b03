"""The checks of ``kafka-bridge doctor`` that ask Kafka. They write nothing and join no group."""
