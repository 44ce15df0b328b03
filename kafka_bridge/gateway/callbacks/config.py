"""What the file says of callbacks: where they arrive, and how they are told from forged ones."""

from __future__ import annotations

from pydantic import field_validator

from kafka_bridge.gateway.field_types import AtLeastOne, BaseUrl, Port, Seconds, Text, TopicName
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict_model import Strict

CALLBACK_TOPIC = "jobs.callbacks"
LEAST_SECRET_CHARACTERS = 16


class CallbackConfig(Strict):
    """Where callbacks arrive.

    :ivar public_url: how services reach this gateway; callback URLs begin with it
    :ivar secret: signs the tokens in callback URLs; all gateways of a group share it. At least 16
        characters: who guesses it can make up callbacks
    :ivar previous_secrets: those used before, the newest first: URLs that they signed are still
        good
    :ivar host: the address to listen on
    :ivar port: 0 takes one that is free
    :ivar max_body_bytes: larger bodies are refused
    :ivar expires_after: seconds after which a callback URL is no longer good
    :ivar topic: where callbacks are kept until the jobs that wait for them have heard them
    """

    public_url: BaseUrl
    secret: Secret
    previous_secrets: tuple[Secret, ...] = ()
    host: Text = "127.0.0.1"
    port: Port = 8080
    max_body_bytes: AtLeastOne = 1_000_000
    expires_after: Seconds = 7 * 24 * 3600.0
    topic: TopicName = CALLBACK_TOPIC

    @field_validator("secret")
    @classmethod
    def _cannot_be_guessed(cls, secret: Secret) -> Secret:
        if len(secret.reveal()) < LEAST_SECRET_CHARACTERS:
            raise ValueError(
                f"expected a secret of at least {LEAST_SECRET_CHARACTERS} characters: "
                "`openssl rand -hex 32` generates one"
            )
        return secret
