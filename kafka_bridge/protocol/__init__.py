"""The job protocol: pure values and rules, no input or output.

``messages``, ``lifecycle``, ``ids`` and ``errors`` need nothing but the standard library, so that
parsing a DAG stays light; ``codec`` and what it uses load fastavro.
"""
