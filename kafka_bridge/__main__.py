"""``python -m kafka_bridge`` is the command ``kafka-bridge``."""

from kafka_bridge.cli import main

if __name__ == "__main__":
    main()
