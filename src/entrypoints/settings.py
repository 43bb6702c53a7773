"""All configuration: read once from the environment, checked as a whole before anything starts."""

import os
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.password_rules import LEAST_MIN_LENGTH
from entrypoints.setting_values import (
    ExistingFile,
    Issuer,
    JwksUrl,
    LongSecret,
    Name,
    Networks,
    Origins,
    RedisUrl,
    RevocationBound,
)

PREFIX = "ORDERGATE_"

_WHOSE_KEYS = ("SIGNING_KEY_FILE", "SIGNING_SECRET", "JWKS_URL")
_NOT_SETTINGS = frozenset({"PASSWORD"})
"""Variables that commands read by themselves, so that they stand in no settings object."""


class SettingsError(Exception):
    """Settings that cannot be used: `problems` names every one, a line each, and no value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_MAX_HASHING_THREADS = 64


def _processors() -> int:
    """Count those that this process may run on: more threads would wait for each other."""
    allowed = os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)
    return min(len(allowed), _MAX_HASHING_THREADS)


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

    signing_key_file: ExistingFile | None = None
    """Instead of the keys in `HOME`: a PEM file with the private key that signs tokens: Ed25519, EC
    P-256, or RSA of 2048 bits or more. Default: none."""

    signing_secret: LongSecret | None = None
    """Instead of keys: a secret of 32 bytes or more, for HS256. Default: none."""

    jwks_url: JwksUrl | None = None
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

    revocation: RevocationBound = 10
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

    hashing_threads: int = Field(default=_processors(), ge=1, le=_MAX_HASHING_THREADS)
    """Threads of each worker that hash passwords. Default: one per processor that it may use."""

    hashing_queue: int = Field(default=64, ge=0, le=10_000)
    """Passwords of each worker that may wait for a hashing thread; past it, those that ask for most
    are answered 503."""

    sign_in_failures_per_account: int = Field(default=10, ge=1, le=100_000)
    """Failed sign-ins that shut an account, except where its user has signed in before; there, as
    many of its own shut it."""

    sign_in_failures_per_address: int = Field(default=100, ge=1, le=100_000)
    """Failed sign-ins that shut an address, an IPv6 /64 being one, to accounts new to it; and the
    accounts that may be opened from it in the same time."""

    sign_in_window_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long after the first of them failures count, in seconds."""

    throttle_url: RedisUrl | None = None
    """A Redis or Valkey in which workers and hosts count failed sign-ins together: `redis://` or
    `rediss://`, a host and a database. Default: memory of each worker."""

    trusted_proxies: Networks = ()
    """IP addresses and networks of proxies, separated by commas, whose `X-Forwarded-For` says where
    a request comes from. Whoever is in a network named here can say anything. Default: none."""

    idempotency_seconds: int = Field(default=86_400, ge=60, le=31_536_000)
    """How long an `Idempotency-Key` stands for the order that was placed with it, in seconds."""

    max_body_bytes: int = Field(default=262_144, ge=1_024, le=16_777_216)
    """The largest request body, in bytes."""

    cors_origins: Origins = ()
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
