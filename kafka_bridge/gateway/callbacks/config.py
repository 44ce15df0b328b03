"""The keys of the callbacks section in the file."""

from __future__ import annotations

from pydantic import field_validator

from kafka_bridge.gateway.field_types import AtLeastOne, BaseUrl, Port, Seconds, Text, TopicName
from kafka_bridge.gateway.secret import Secret
from kafka_bridge.gateway.strict_model import Strict

CALLBACK_TOPIC = "jobs.callbacks"
MIN_SECRET_CHARACTERS = 16


class CallbackConfig(Strict):
    """How the gateway receives callbacks.

    :ivar public_url: the URL at which services reach this gateway; callback URLs begin with it
    :ivar secret: signs the tokens in callback URLs; all gateways of a group share it. At least 16
        characters, because anyone who guesses it can forge callbacks
    :ivar previous_secrets: earlier secrets, newest first; URLs that they signed stay valid
    :ivar host: the address to listen on
    :ivar port: the port to listen on; 0 chooses a free one
    :ivar max_body_bytes: larger bodies are refused
    :ivar expires_after: the seconds for which a callback URL is valid
    :ivar topic: stores callbacks until the jobs have read them
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
    def _is_long_enough(cls, secret: Secret) -> Secret:
        if len(secret.reveal()) < MIN_SECRET_CHARACTERS:
            raise ValueError(
                f"expected a secret of at least {MIN_SECRET_CHARACTERS} characters: "
                "`openssl rand -hex 32` generates one"
            )
        return secret
