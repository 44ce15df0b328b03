"""The default topic names."""

REQUEST_TOPIC = "jobs.requests"
RESPONSE_TOPIC = "jobs.responses"
CONTROL_TOPIC = "jobs.control"
DEAD_LETTER_TOPIC = "jobs.dead-letters"
