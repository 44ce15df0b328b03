"""The conformance kit: drives a worker in any language, and judges it by docs/protocol.md.

A probe (:mod:`~kafka_bridge.conformance.probe`) checks one rule. It acts on a stage
(:mod:`~kafka_bridge.conformance.stage`): topics of its own, and the processes of the worker. The
sequence (:mod:`~kafka_bridge.conformance.sequence`) runs the probes and yields their results.
"""
