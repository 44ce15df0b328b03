"""Thousands of jobs in one task: one stored batch id, one trigger, one scan for the results.

The jobs' correlation ids follow from the batch's id and their index, so nothing lists them, neither
the task state store nor a trigger's arguments. Kafka is the queue.
"""
