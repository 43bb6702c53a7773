"""The settings, their defaults and their bounds."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from ordergate.domain.password_rules import LEAST_MIN_LENGTH
from ordergate.domain.session import MAX_SESSIONS
from ordergate.entrypoints.config import setting_values as kinds
from ordergate.entrypoints.config.issuers.settings import (
    OtherIssuerSettings,
    check_foreign_issuer,
    names_other_issuer,
)
from ordergate.entrypoints.config.serving import ServingSettings


class Settings(ServingSettings, OtherIssuerSettings):
    """The settings of one process.

    Each is the environment variable `ORDERGATE_` + its name.

    A secret can also be in a file, which `ORDERGATE_` + its name + `_FILE` names.
    Read them with `load_settings`, which turns every mistake into one `SettingsError`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: kinds.Folder = Path(".ordergate")
    """The folder of the SQLite database and of the generated signing keys."""

    database_url: kinds.Secret | None = None
    """The database: `sqlite:///` and a path,
    `postgresql://name:password@host1,host2:5433/database?target_session_attrs=read-write`, or
    `mariadb://name:password@host1,host2:3307/database?ssl-mode=VERIFY_IDENTITY` (for MySQL
    `mysql://`). Default: `ordergate.db` in `HOME`."""

    read_database_url: kinds.Secret | None = None
    """A hot standby of a PostgreSQL database, for reads of orders by requests with a
    `Consistency-Token`. Default: none."""

    database_pool_size: int = Field(default=10, ge=1, le=1_000)
    """The maximum number of connections to a database server of each worker."""

    database_pool_seconds: int = Field(default=5, ge=1, le=300)
    """How long a request waits for a connection before it gets a 503, in seconds."""

    database_statement_seconds: int = Field(default=5, ge=1, le=300)
    """The time limit of a statement on a database server, in seconds. The limit for a lock is half
    of it."""

    database_idle_seconds: int = Field(default=60, ge=1, le=86_400)
    """How long a connection to a database server may be idle before it is replaced, in seconds. Set
    it below the idle timeout of load balancers and firewalls on the way."""

    database_settings: Literal["connection", "role"] = "connection"
    """How a PostgreSQL session gets its settings: `connection` sends them with the connection;
    `role` sends none, for a pooler that refuses them, and checks those of the role."""

    signing_key_file: kinds.ExistingFile | None = None
    """A PEM file with the private key that signs tokens, instead of the keys in `HOME`: EC
    P-256, Ed25519, or RSA of 2048 bits or more. Default: none."""

    signing_secret: kinds.LongSecret | None = None
    """A secret of 32 bytes or more that signs tokens with HS256, instead of a key. Default:
    none."""

    issuer: str = "http://127.0.0.1:8000"
    """The claim `iss` of tokens: the public URL of this service, where its metadata is; or the
    exact `iss` of another issuer. Several other issuers are separated by commas."""

    audience: str = "ordergate"
    """The claim `aud` of tokens: the API that they are for. Several names for tokens of another
    issuer are separated by commas."""

    access_token_seconds: int = Field(default=900, ge=1, le=86_400)
    """The lifetime of an access token, in seconds."""

    refresh_idle_seconds: int = Field(default=1_209_600, ge=60, le=31_536_000)
    """How long an unused refresh token is valid, in seconds. After that the user signs in again."""

    session_seconds: int = Field(default=7_776_000, ge=60, le=315_360_000)
    """How long a session can be renewed, in seconds. After that the user signs in again."""

    sessions_per_user: int = Field(default=200, ge=1, le=MAX_SESSIONS)
    """The maximum number of active sessions of a user. A further sign-in ends the sessions that
    expire first."""

    refresh_grace_seconds: int = Field(default=10, ge=0, le=300)
    """How long a used refresh token returns the same next token again, in seconds."""

    revocation: kinds.RevocationBound = 10
    """How soon the access tokens of an ended session are refused: within this number of seconds,
    `at-once` (one more query for each request), or `until-expiry`."""

    sign_up: bool = True
    """Whether users may register accounts themselves: `true` or `false`."""

    min_password_length: int = Field(default=15, ge=LEAST_MIN_LENGTH, le=64)
    """The minimum length of a new password, in characters."""

    leeway_seconds: int = Field(default=5, ge=0, le=300)
    """The tolerated clock difference when the times of a token are checked, in seconds."""

    bcrypt_cost: int = Field(default=12, ge=4, le=20)
    """The base-2 logarithm of the number of bcrypt rounds. A higher cost upgrades each hash at the
    next sign-in. With a lower cost, response times reveal which accounts are older."""

    hashing_threads: int = Field(
        default=kinds.count_processors(), ge=1, le=kinds.MAX_HASHING_THREADS
    )
    """The number of threads that hash passwords in each worker. Default: one per processor that it
    may use."""

    hashing_queue: int = Field(default=64, ge=0, le=10_000)
    """The maximum number of passwords that wait for a hashing thread in each worker. When the queue
    is full, the clients with the most waiting passwords get a 503."""

    sign_in_failures_per_account: int = Field(default=10, ge=1, le=100_000)
    """Failed sign-ins before an account is blocked for unknown addresses. Addresses that the user
    has signed in from have their own counter with the same limit."""

    sign_in_failures_per_address: int = Field(default=100, ge=1, le=100_000)
    """Failed sign-ins before an address is blocked for accounts that are new to it; also the
    maximum number of accounts that are registered from it in the window. An IPv6 /64 counts as one
    address. An IPv6 /48 has ten times the limit."""

    sign_in_window_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long failed sign-ins count, in seconds. The window begins with the first failure."""

    requests_per_address: int = Field(default=0, ge=0, le=1_000_000_000)
    """Requests from an address in the window before further ones get a 429; 0 is no limit. An IPv6
    /64 counts as one address. An IPv6 /48 has ten times the limit."""

    requests_per_client: int = Field(default=0, ge=0, le=1_000_000_000)
    """Requests of a user in the window before further ones get a 429; 0 is no limit."""

    request_window_seconds: int = Field(default=60, ge=1, le=86_400)
    """How long a request counts, in seconds. The window begins with the first request."""

    throttle_url: kinds.RedisUrl | None = None
    """A Redis or Valkey where workers and hosts share the counters of failed sign-ins and of
    requests: `redis://` or `rediss://`, a host and a database. Default: memory of each worker."""

    trusted_proxies: kinds.Networks = ()
    """IP addresses and networks of proxies, separated by commas, and `unix` for those on a Unix
    socket. Their `X-Forwarded-For` names the client's address. Every host in these networks can
    claim any address. Default: none."""

    idempotency_seconds: int = Field(default=86_400, ge=60, le=31_536_000)
    """How long an `Idempotency-Key` is remembered, in seconds."""

    order_routes: bool = True
    """Whether the routes and the scopes of orders exist: `true` or `false`."""

    max_body_bytes: int = Field(default=262_144, ge=1_024, le=16_777_216)
    """The largest request body, in bytes."""

    cors_origins: kinds.Origins = ()
    """Origins whose pages may call the API from a browser, separated by commas. Default: none."""

    cors_headers: kinds.HeaderNames = ()
    """Further request headers that these pages may send, separated by commas, at most 32. Those of
    this API and of tracing are always allowed. Default: none."""

    cors_methods: kinds.MethodNames = ()
    """Further methods that these pages may use, such as `QUERY`, separated by commas, at most 32.
    Default: none."""

    cors_exposed_headers: kinds.HeaderNames = ()
    """Further headers of answers that these pages may read, separated by commas, at most 32.
    Default: none."""

    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port where `serve` has metrics for Prometheus, which everyone who reaches it can read; 0
    lets the system choose. It needs the extra `metrics`. Default: none."""

    metrics_host: str = "127.0.0.1"
    """The address that the metrics are served on."""

    telemetry: Literal["otlp"] | None = None
    """Where traces go: `otlp` sends them as the standard variables `OTEL_*` say. It needs the extra
    `otlp`. Default: none."""

    container: kinds.FunctionName | None = None
    """A function that makes the container with adapters of your own: `module:function`. The server
    and the commands call it with the settings, except `demo` and `openapi`. Default: none."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged: `debug`, `info`, `warning` or `error`. Audit events
    are always logged."""

    refused_token_log_level: Literal["debug", "info", "warning"] = "info"
    """The level of the line for a refused token: `debug`, `info` or `warning`."""

    access_log: bool = False
    """Whether each HTTP request is a line of the log, at any `LOG_LEVEL`: `true` or `false`."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """The format of log lines: `json`, `text`, or `auto` (text on a terminal, else JSON)."""

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, issuer: str, info: ValidationInfo) -> str:
        if names_other_issuer(info.data):
            check_foreign_issuer(issuer, info.data)
        else:
            kinds.check_own_issuer(issuer)
        return issuer

    @field_validator("audience")
    @classmethod
    def _check_audience(cls, audience: str, info: ValidationInfo) -> str:
        is_foreign = names_other_issuer(info.data)
        for name in kinds.split_at_commas(audience) if is_foreign else [audience]:
            kinds.check_name(name)
        return audience

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuers whose tokens are accepted."""
        return (self.issuer,) if self.issues_tokens else tuple(kinds.split_at_commas(self.issuer))

    @property
    def audiences(self) -> tuple[str, ...]:
        """The names of this API in tokens."""
        return (
            (self.audience,) if self.issues_tokens else tuple(kinds.split_at_commas(self.audience))
        )

    @property
    def resource(self) -> str | None:
        """The public URL of this service, as far as it is known."""
        return self.issuer if self.issues_tokens else self.public_url

    @property
    def storage_url(self) -> str:
        """`database_url`, or that of the embedded database."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'ordergate.db'}"
        return self.database_url.get_secret_value()

    @property
    def signing_keys_file(self) -> Path:
        """Where the signing keys are kept when none is configured."""
        return self.home / "signing-keys.json"
