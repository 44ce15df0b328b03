"""Thousands of jobs in one task: one batch id, one trigger, one scan for the results.

The correlation ids of the jobs follow from the batch's id and their index. So neither the requests
nor a trigger's arguments list them. Kafka is the queue.
"""
