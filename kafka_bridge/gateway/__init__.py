"""The gateway: a worker that runs jobs on HTTP services and programs without Kafka clients.

A service is polled, calls back, or returns the result in its answer. A program is started for each
job. One YAML file configures all job types: see ``docs/how-to/wrap-a-rest-service.md``. Needs the
extra ``gateway``.
"""
