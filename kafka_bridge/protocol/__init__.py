"""The job protocol: pure values and rules, no input or output.

``messages``, ``lifecycle``, ``ids`` and ``errors`` need only the standard library, so that parsing
a DAG stays fast. ``codec`` and the modules that it uses load fastavro.
"""
