"""What the file says of callbacks: where they arrive, and how they are told from forged ones."""

from __future__ import annotations

from kafka_bridge.gateway.http.url import BaseUrl
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict import Strict
from kafka_bridge.gateway.values import AtLeastOne, HeaderName, Port, Seconds, Text, TopicName

CALLBACK_TOPIC = "jobs.callbacks"


class Signature(Strict):
    """The service signs the body of each callback with HMAC-SHA256.

    :ivar header: where the signature stands, in hexadecimal digits
    :ivar prefix: what stands before it, for example ``sha256=``
    """

    secret: Secret
    header: HeaderName = "X-Signature-256"
    prefix: str = ""


class Receiver(Strict):
    """Where callbacks arrive.

    :ivar public_url: how services reach this gateway; callback URLs begin with it
    :ivar secret: signs the tokens in callback URLs; all gateways of a group share it
    :ivar host: the address to listen on
    :ivar port: 0 takes one that is free
    :ivar max_body_bytes: larger bodies are refused
    :ivar expires_after: seconds after which a callback URL is no longer good
    :ivar topic: where callbacks are kept until the jobs that wait for them have heard them
    """

    public_url: BaseUrl
    secret: Secret
    host: Text = "127.0.0.1"
    port: Port = 8080
    max_body_bytes: AtLeastOne = 1_000_000
    expires_after: Seconds = 7 * 24 * 3600.0
    topic: TopicName = CALLBACK_TOPIC
