"""The settings of `serve`: where it listens, and what it accepts."""

from pydantic import Field

from ordergate.entrypoints.config.environment import EnvironmentSettings
from ordergate.entrypoints.config.setting_values import FilePath


class ServingSettings(EnvironmentSettings):
    """How `serve` listens, ends, and limits connections.

    Other servers have settings of their own.
    """

    listen_host: str = "127.0.0.1"
    """The address that `serve` listens on, unless `--host` names another."""

    listen_port: int = Field(default=8000, ge=0, le=65_535)
    """The port that `serve` listens on, unless `--port` names another. 0 lets the system choose."""

    listen_uds: FilePath | None = None
    """The path of a Unix socket that `serve` listens on instead, unless the options name an
    address. Default: none."""

    tls_certificate_file: FilePath | None = None
    """A PEM file with the certificate of the service and its chain: `serve` speaks TLS 1.2 or
    later. Default: none."""

    tls_key_file: FilePath | None = None
    """The PEM file with the private key of that certificate, without a passphrase. Default:
    none."""

    workers: int = Field(default=1, ge=1, le=256)
    """The worker processes of `serve`, unless `--workers` says another number."""

    drain_seconds: int = Field(default=0, ge=0, le=3_600)
    """How long `serve` goes on after SIGTERM, in seconds. `/readyz` is 503 then, so that load
    balancers send requests elsewhere. Afterwards it finishes open requests."""

    head_seconds: int = Field(default=30, ge=1, le=3_600)
    """How long a client may take for the head of a request, in seconds. A connection without a
    request is closed after the same time."""

    body_seconds: int = Field(default=60, ge=1, le=86_400)
    """How long a client may take for the body of a request, in seconds. Then it gets a 408."""

    answer_seconds: int = Field(default=60, ge=1, le=86_400)
    """How long a client may take no part of its answer, in seconds. Then the connection is
    reset."""

    connections: int = Field(default=10_000, ge=1, le=1_000_000)
    """The maximum number of open connections of each worker. Further ones are closed."""

    connections_per_address: int = Field(default=1_000, ge=1, le=1_000_000)
    """The maximum number of open connections of an address to each worker. An IPv6 /64 counts as
    one address. `TRUSTED_PROXIES` and clients of a Unix socket are exempt."""
