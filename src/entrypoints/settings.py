"""All configuration: read once from the environment, checked as a whole before anything starts."""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.password_rules import LEAST_MIN_LENGTH

PREFIX = "ORDERGATE_"

_WHOSE_KEYS = ("SIGNING_KEY_FILE", "SIGNING_SECRET", "JWKS_URL")
_NOT_SETTINGS = frozenset({"PASSWORD"})
"""Variables that commands read by themselves, so that they stand in no settings object."""

_MIN_SECRET_BYTES = 32
_REDIS_SCHEMES = frozenset({"redis", "rediss", "valkey", "valkeys"})
_REDIS_DATABASE = re.compile(r"(/[0-9]{0,3})?")
_MAX_REVOCATION_SECONDS = 3_600
_HOST = r"([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])"
_LOOPBACK = r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])"
_PORT = r"(:[0-9]{1,5})?"
_ORIGIN = re.compile(rf"https?://{_HOST}{_PORT}")
_JWKS_URL = re.compile(rf"(https://{_HOST}|http://{_LOOPBACK}){_PORT}/[!$-~]{{0,1024}}")
_ISSUER = re.compile(rf"{_ORIGIN.pattern}(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?")
_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_MAX_ISSUER_LENGTH = 255


class SettingsError(Exception):
    """Settings that cannot be used: `problems` names every one, a line each, and no value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise PydanticCustomError("origin", "must be origins such as https://shop.example")
    return origin


def _redis_url(secret: SecretStr) -> SecretStr:
    with suppress(ValueError):  # of a port; its text may be part of a password
        url = urlsplit(secret.get_secret_value())
        if (
            url.scheme in _REDIS_SCHEMES
            and url.hostname
            and url.port != 0
            and _REDIS_DATABASE.fullmatch(url.path)
            and not {"?", "#"} & set(secret.get_secret_value())
        ):
            return secret
    raise PydanticCustomError(
        "url", "must look like rediss://name:password@host:6379/0, with other characters as %23"
    )


def _network(text: str) -> str:
    with suppress(ValueError):
        network = ip_network(text)
        if network.prefixlen:
            return str(network)
    raise PydanticCustomError(
        "network", "must be IP addresses or networks such as 10.0.0.0/8, and not everybody's"
    )


def _jwks_url(url: str) -> str:
    with suppress(ValueError):  # the port is too large, or what is in brackets no address
        if _JWKS_URL.fullmatch(url) and urlsplit(url).port != 0:
            return url
    raise PydanticCustomError(
        "url", "must be a URL such as https://id.example/jwks; http is for this computer alone"
    )


def _existing_file(path: Path) -> Path:
    with suppress(OSError):  # a folder that is closed to us holds no file for us
        if path.is_file():
            return path
    raise PydanticCustomError(
        "file",
        "must name a file that exists; `openssl genpkey -algorithm ed25519 -out FILE` makes one",
    )


def _long_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode(errors="surrogateescape")) < _MIN_SECRET_BYTES:
        raise PydanticCustomError(
            "secret", "must have 32 bytes or more; `openssl rand -hex 32` makes one"
        )
    return secret


def _revocation(value: object) -> object:
    if value in {"until-expiry", "at-once"}:
        return value
    if isinstance(value, int | str) and re.fullmatch("[1-9][0-9]{0,3}", str(value)):
        seconds = int(value)
        if seconds <= _MAX_REVOCATION_SECONDS:
            return seconds
    raise PydanticCustomError(
        "revocation",
        f"must be until-expiry, at-once, or whole seconds from 1 to {_MAX_REVOCATION_SECONDS}",
    )


def _comma_separated(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError("name", "must be 1 to 255 printable ASCII characters, no spaces")
    return name


def _issuer(url: str) -> str:
    if not _ISSUER.fullmatch(url) or len(url) > _MAX_ISSUER_LENGTH:
        raise PydanticCustomError(
            "issuer",
            "must be a URL such as https://orders.example: http or https, "
            f"at most {_MAX_ISSUER_LENGTH} characters, no query and no fragment",
        )
    return url


Name = Annotated[str, AfterValidator(_name)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]


class Settings(BaseSettings):
    """The settings of one process. Each is the environment variable `ORDERGATE_` + its name.

    Read them with `load_settings`, which turns every mistake into one `SettingsError`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    home: Path = Path(".ordergate")
    """The folder of state: the embedded database, and the signing keys made for you."""

    database_url: SecretStr | None = None
    """Where users and orders are: `sqlite:///` and a path, or
    `postgresql://name:password@host1,host2:5433/database?target_session_attrs=read-write`. Default:
    `ordergate.db` in `HOME`."""

    database_pool_size: int = Field(default=10, ge=1, le=1_000)
    """Connections to PostgreSQL that each worker has at most."""

    database_pool_seconds: int = Field(default=5, ge=1, le=300)
    """How long a request waits for one of them before it is answered 503, in seconds."""

    database_statement_seconds: int = Field(default=5, ge=1, le=300)
    """How long PostgreSQL may take for a statement, in seconds; half as long for a lock."""

    signing_key_file: Annotated[Path, AfterValidator(_existing_file)] | None = None
    """Instead of the keys in `HOME`: a PEM file with the private key that signs tokens: Ed25519, EC
    P-256, or RSA of 2048 bits or more. Default: none."""

    signing_secret: Annotated[SecretStr, AfterValidator(_long_secret)] | None = None
    """Instead of keys: a secret of 32 bytes or more, for HS256. Default: none."""

    jwks_url: Annotated[str, AfterValidator(_jwks_url)] | None = None
    """Where another issuer publishes its keys: with it this service signs nobody in and believes
    that issuer, whose `iss` is `ISSUER`. Default: none."""

    jwt_type: Literal["at+jwt", "jwt"] = "at+jwt"
    """The `typ` that access tokens of another issuer have: `at+jwt` as RFC 9068 says, or `jwt` for
    an issuer that writes `JWT` or nothing."""

    issuer: Issuer = "http://127.0.0.1:8000"
    """`iss` of tokens: the URL that clients know this service by, where its metadata is found."""

    audience: Name = "ordergate"
    """`aud` of tokens: the API they are meant for."""

    access_token_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long an access token is accepted, in seconds."""

    refresh_idle_seconds: int = Field(default=1_209_600, ge=60, le=31_536_000)
    """How long a refresh token may lie unused before somebody must sign in again, in seconds."""

    session_seconds: int = Field(default=7_776_000, ge=60, le=315_360_000)
    """How long a session can be renewed before somebody must sign in again, in seconds."""

    refresh_grace_seconds: int = Field(default=10, ge=0, le=300)
    """How long a refresh token that was used gives the same answer again, in seconds."""

    revocation: Annotated[Literal["until-expiry", "at-once"] | int, PlainValidator(_revocation)] = (
        10
    )
    """How soon the access tokens of an ended session stop: within so many seconds, `at-once` (one
    more query for each request), or `until-expiry`."""

    sign_up: bool = True
    """Whether people may open accounts for themselves: `true` or `false`."""

    min_password_length: int = Field(default=15, ge=LEAST_MIN_LENGTH, le=64)
    """The fewest characters of a password that somebody chooses."""

    leeway_seconds: int = Field(default=5, ge=0, le=300)
    """How far clocks may differ when a token's times are checked, in seconds."""

    bcrypt_cost: int = Field(default=12, ge=4, le=20)
    """Binary logarithm of bcrypt's rounds. Raising it upgrades hashes as people sign in; lowering
    it lets the time of a refusal tell which accounts are older."""

    hashing_threads: int = Field(default=os.cpu_count() or 1, ge=1, le=64)
    """Threads of each worker that hash passwords. Default: one per processor."""

    hashing_queue: int = Field(default=64, ge=0, le=10_000)
    """Sign-ins of each worker that may wait for a hashing thread; one more is answered 503."""

    sign_in_failures_per_account: int = Field(default=10, ge=1, le=100_000)
    """Failed sign-ins that shut an account, except where its user has signed in before; there, as
    many of its own shut it."""

    sign_in_failures_per_address: int = Field(default=100, ge=1, le=100_000)
    """Failed sign-ins that shut an address, an IPv6 /64 being one, to accounts new to it; and the
    accounts that may be opened from it in the same time."""

    sign_in_window_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long after the first of them failures count, in seconds."""

    throttle_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None
    """A Redis or Valkey in which workers and hosts count failed sign-ins together: `redis://` or
    `rediss://`, a host and a database. Default: memory of each worker."""

    trusted_proxies: Annotated[
        tuple[Network, ...], NoDecode, BeforeValidator(_comma_separated)
    ] = ()
    """IP addresses and networks of proxies, separated by commas, whose `X-Forwarded-For` says where
    a request comes from. Whoever is in a network named here can say anything. Default: none."""

    idempotency_seconds: int = Field(default=86_400, ge=60, le=31_536_000)
    """How long an `Idempotency-Key` stands for the order that was placed with it, in seconds."""

    max_body_bytes: int = Field(default=262_144, ge=1_024, le=16_777_216)
    """The largest request body, in bytes."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    """Origins whose pages may call the API from a browser, separated by commas. Default: none."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written: `debug`, `info`, `warning` or `error`. The audit
    is written at any."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """Log lines as `json` or as `text`; `auto` is text on a terminal."""

    @property
    def signs_in(self) -> bool:
        """Whether people sign in here, and not with another issuer."""
        return self.jwks_url is None

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


def load_settings(flaws_in: Mapping[str, Callable[[str], str | None]]) -> Settings:
    """Read the environment. Raises `SettingsError` with every mistake, unknown names included.

    `flaws_in` has, by the name of a setting, what says what is wrong with its value, or `None`.
    """
    known = {name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    ours = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    problems = [_unknown(name, known) for name in ours if name.removeprefix(PREFIX) not in known]
    problems += [f"{name} is not UTF-8" for name in ours if not _is_utf_8(os.environ[name])]
    if os.environ.get(f"{PREFIX}DATABASE_URL") == "":
        # A secret that was not filled in: orders would go into a file that nobody looks for.
        problems.append(f"{PREFIX}DATABASE_URL is empty; unset it for the database in HOME")
    keys = [PREFIX + name for name in _WHOSE_KEYS if os.environ.get(PREFIX + name)]
    if len(keys) > 1:
        problems.append(f"{' and '.join(keys)} exclude each other")
    if f"{PREFIX}JWKS_URL" in keys and not os.environ.get(f"{PREFIX}ISSUER"):
        problems.append(f"{PREFIX}JWKS_URL needs {PREFIX}ISSUER, the `iss` of its issuer's tokens")
    settings, flaws = None, {}
    try:
        settings = Settings()
    except ValidationError as error:
        flaws = {
            str(flaw["loc"][0]): _words(str(flaw["loc"][0]), flaw["type"], flaw["msg"])
            for flaw in error.errors(include_input=False, include_url=False, include_context=False)
        }
    for name, flaw_in in flaws_in.items():
        value = os.environ.get(f"{PREFIX}{name.upper()}")
        if value and name not in flaws and (flaw := flaw_in(value)):
            flaws[name] = flaw
    problems += [f"{PREFIX}{name.upper()}: {flaw}" for name, flaw in flaws.items()]
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def _words(name: str, kind: str, message: str) -> str:
    """Say what a setting must be; our own validators have said so already."""
    field = Settings.model_fields[name]
    if kind.startswith("bool_"):
        return "must be true or false"
    if kind.startswith("int_") or kind in {"greater_than_equal", "less_than_equal"}:
        least, most = (
            next(getattr(bound, end) for bound in field.metadata if hasattr(bound, end))
            for end in ("ge", "le")
        )
        return f"must be a whole number from {least} to {most}"
    if kind == "literal_error":
        return f"must be one of {', '.join(get_args(field.annotation))}"
    return message


def _is_utf_8(value: str) -> bool:
    """Say whether a variable was text: Python hides the bytes of one that was not."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _unknown(name: str, known: set[str]) -> str:
    nearest = get_close_matches(name.upper().removeprefix(PREFIX), sorted(known), n=1)
    hint = f"; did you mean {PREFIX}{nearest[0]}?" if nearest else ""
    return f"{name} is not a setting{hint}"
