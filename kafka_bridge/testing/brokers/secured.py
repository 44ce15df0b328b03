"""A broker with TLS, users, client certificates, and ACLs that deny by default."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from kafka_bridge.testing.brokers import permissions
from kafka_bridge.testing.brokers.apache import ApacheKafka
from kafka_bridge.testing.brokers.certificates import Certificate, CertificateAuthority
from kafka_bridge.testing.brokers.errors import BrokerError
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka_bridge.testing.brokers.node import BrokerNode

SCRAM_256 = "SCRAM-SHA-256"
SCRAM_512 = "SCRAM-SHA-512"


class CredentialFault(StrEnum):
    """What can be wrong with the credentials of a client; see `SecuredKafka.faulty_client`."""

    WRONG_PASSWORD = "wrong password"  # noqa: S105  no secret
    UNKNOWN_USER = "unknown user"
    WRONG_MECHANISM = "wrong mechanism"
    NO_SASL = "no SASL"
    PLAINTEXT = "plaintext against TLS"
    SASL_PLAINTEXT = "SASL without TLS against TLS"
    UNKNOWN_CA = "broker's CA is unknown to the client"
    WRONG_HOST_NAME = "broker's certificate is for another host name"
    EXPIRED_BROKER_CERTIFICATE = "broker's certificate has expired"
    NO_CLIENT_CERTIFICATE = "no client certificate"
    UNTRUSTED_CLIENT_CERTIFICATE = "client certificate by a CA that the broker does not trust"
    EXPIRED_CLIENT_CERTIFICATE = "client certificate has expired"


class SecuredKafka(ApacheKafka):
    """A single Apache Kafka with TLS, SCRAM, client certificates and ACLs that deny by default.

    `bootstrap_servers` takes SCRAM-SHA-256 and -512 over TLS, `certificate_servers` client
    certificates (a user's name is the subject's CN), `expired_servers` is like the first with a
    certificate that has expired. Nobody may do anything until `allow` says so. Users are made by
    `add_user`; `client` and `certificate_client` give the properties of a Kafka client for one of
    them, with librdkafka's names. It also needs ``openssl``; see `ApacheKafka` for the rest.

    Topics, users and ACLs are managed through a plaintext port of this machine that the fixture
    keeps to itself: whoever knows it may do everything.
    """

    kind: ClassVar[str] = "secured"

    def __init__(self, properties: Mapping[str, str] | None = None) -> None:
        super().__init__(properties)
        self._passwords: dict[str, str] = {}
        self._certificates: dict[tuple[str, str, bool], Certificate] = {}
        self._authorities: dict[str, CertificateAuthority] = {}

    @property
    def bootstrap_servers(self) -> str:
        """The address for users with a password (SASL_SSL), as host:port."""
        return self._address("scram_port")

    @property
    def certificate_servers(self) -> str:
        """The address for users with a client certificate (SSL), as host:port."""
        return self._address("certificate_port")

    @property
    def expired_servers(self) -> str:
        """The address with an expired certificate of the broker (SASL_SSL), as host:port."""
        return self._address("expired_port")

    @property
    def ca_file(self) -> str:
        """Path of the certificate of the CA that signed the broker's, in PEM."""
        return str(self._authority("test-ca").certificate)

    def add_user(self, name: str, password: str | None = None) -> None:
        """Create a user, or change its password (a random one by default)."""
        self._passwords[name] = password or secrets.token_urlsafe(12)
        permissions.add_user(self._admin_servers, name, self._passwords[name])

    def remove_user(self, name: str) -> None:
        """Remove a user; raises BrokerError if it does not exist. Its connections stay open."""
        self._password_of(name)
        permissions.remove_user(self._admin_servers, name)
        del self._passwords[name]

    def client(self, name: str, mechanism: str = SCRAM_512) -> dict[str, Any]:
        """Return the properties of a client that connects as this user, with a password."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": self.ca_file,
            "sasl.mechanism": mechanism,
            "sasl.username": name,
            "sasl.password": self._password_of(name),
        }

    def certificate_client(self, name: str) -> dict[str, Any]:
        """Return the properties of a client that connects as this user, with a certificate."""
        return self._with_certificate("test-ca", name, expired=False)

    def faulty_client(self, fault: CredentialFault, name: str) -> dict[str, Any]:
        """Return the properties of a user's client with one thing wrong."""
        good, has = self.client(name), CredentialFault
        port = self.bootstrap_servers.rpartition(":")[2]
        changes: dict[CredentialFault, dict[str, Any]] = {
            has.WRONG_PASSWORD: {"sasl.password": "not-the-password"},
            has.UNKNOWN_USER: {"sasl.username": f"nobody-{name}"},
            has.WRONG_MECHANISM: {"sasl.mechanism": "PLAIN"},
            has.SASL_PLAINTEXT: {"security.protocol": "SASL_PLAINTEXT"},
            has.UNKNOWN_CA: {"ssl.ca.location": str(self._authority("other-ca").certificate)},
            has.WRONG_HOST_NAME: {"bootstrap.servers": f"localhost:{port}"},
            has.EXPIRED_BROKER_CERTIFICATE: {"bootstrap.servers": self.expired_servers},
        }
        if fault in changes:
            return {**good, **changes[fault]}
        plain = {"bootstrap.servers": self.bootstrap_servers}
        tls = {**plain, "security.protocol": "SSL", "ssl.ca.location": self.ca_file}
        others: dict[CredentialFault, dict[str, Any]] = {
            has.PLAINTEXT: plain,
            has.NO_SASL: tls,
            has.NO_CLIENT_CERTIFICATE: {**tls, "bootstrap.servers": self.certificate_servers},
            has.UNTRUSTED_CLIENT_CERTIFICATE: self._with_certificate(
                "other-ca", name, expired=False
            ),
            has.EXPIRED_CLIENT_CERTIFICATE: self._with_certificate("test-ca", name, expired=True),
        }
        return others[fault]

    def allow(
        self, name: str, resource: str, pattern: str, *operations: str, prefixed: bool = False
    ) -> None:
        """Allow a user some operations; return when the ACLs are in force.

        `resource`: topic, group, cluster (its pattern is ``kafka-cluster``) or transactional-id;
        `operations` as ``kafka-acls`` spells them, for example ``Read``, ``DescribeConfigs``.
        """
        wanted = permissions.bindings(name, resource, pattern, operations, prefixed=prefixed)
        permissions.allow(self._admin_servers, wanted)

    def disallow(
        self, name: str, resource: str, pattern: str, *operations: str, prefixed: bool = False
    ) -> None:
        """Revoke what `allow` granted with the same arguments."""
        unwanted = permissions.bindings(name, resource, pattern, operations, prefixed=prefixed)
        permissions.disallow(self._admin_servers, unwanted)

    def disallow_all(self, name: str) -> None:
        """Revoke all permissions of this user."""
        permissions.disallow_all(self._admin_servers, name)

    @property
    def _admin_servers(self) -> str:
        return self._address("port")

    def _password_of(self, name: str) -> str:
        if name not in self._passwords:
            raise BrokerError(f"there is no user {name!r}: add_user() makes one")
        return self._passwords[name]

    def _with_certificate(self, authority: str, name: str, *, expired: bool) -> dict[str, Any]:
        certificate = self._certificate(authority, name, expired=expired)
        return {
            "bootstrap.servers": self.certificate_servers,
            "security.protocol": "SSL",
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": str(certificate.chain),
            "ssl.key.location": str(certificate.key),
        }

    def _certificate(self, authority: str, name: str, *, expired: bool) -> Certificate:
        wanted = (authority, name, expired)
        if wanted not in self._certificates:
            issued = self._authority(authority).issue(name, expired=expired)
            self._certificates[wanted] = issued
        return self._certificates[wanted]

    def _authority(self, name: str) -> CertificateAuthority:
        if self._node is None:
            raise BrokerError("the broker was not started, so it has no certificates yet")
        if name not in self._authorities:
            self._authorities[name] = CertificateAuthority(self._node.directory / "tls", name)
        return self._authorities[name]

    def close(self) -> None:
        """Kill it and remove its data, users and certificates."""
        super().close()
        self._passwords, self._certificates, self._authorities = {}, {}, {}

    def _new_ports(self) -> dict[str, int]:
        names = ("scram_port", "certificate_port", "expired_port")
        return {**super()._new_ports(), **{name: free_port() for name in names}}

    def _settings(self, node: BrokerNode) -> dict[str, str]:
        own = self._authority("test-ca")
        good = own.issue("broker", address="127.0.0.1")
        expired = own.issue("broker", address="127.0.0.1", expired=True)
        return {**_settings(own, good, expired), **super()._settings(node)}


def _settings(
    authority: CertificateAuthority, certificate: Certificate, expired: Certificate
) -> dict[str, str]:
    """Return the broker's settings: four listeners, of which the plaintext one is the fixture's."""
    listeners = ("SCRAM", "CERTIFICATE", "EXPIRED")
    places = [f"{name}://127.0.0.1:${{{name.lower()}_port}}" for name in listeners]
    plain = "PLAINTEXT://127.0.0.1:${port}"
    settings = {
        "listeners": ",".join([plain, "CONTROLLER://127.0.0.1:${controller_port}", *places]),
        "advertised.listeners": ",".join([plain, *places]),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        "SCRAM:SASL_SSL,CERTIFICATE:SSL,EXPIRED:SASL_SSL",
        "sasl.enabled.mechanisms": f"{SCRAM_256},{SCRAM_512}",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",  # on the plaintext port, and nowhere else
        "listener.name.certificate.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": r"RULE:^CN=(.*?)$$/$$1/",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificate.key_store()),
        "listener.name.expired.ssl.keystore.type": "PEM",
        "listener.name.expired.ssl.keystore.location": str(expired.key_store()),
    }
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    for listener in ("scram", "expired"):
        for mechanism in (SCRAM_256, SCRAM_512):
            name = f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config"
            settings[name] = scram
    return settings
