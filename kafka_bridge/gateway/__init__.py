"""The gateway: a worker for services that know nothing of Kafka.

HTTP services that are polled, call back or answer at once, and programs that are started. What does
what is said in one YAML file; see ``docs/how-to/wrap-a-rest-service.md``. Needs the extra
``gateway``.
"""
