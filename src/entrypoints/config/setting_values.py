"""Types of settings, with validation and error messages."""

import os
import re
import stat
import sys
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from ordergate.entrypoints.config.plain_text import find_path_flaw, find_text_flaw, is_blank

HOW_TO_MAKE_A_KEY = (
    "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE` makes one"
)
"""The end of an error about a file that must have a private key."""

MAX_HASHING_THREADS = 64

UNIX = "unix"
"""The name of clients of a Unix socket, which have no address."""

_METHOD_NAME = re.compile(r"(?!(?:CONNECT|TRACE|TRACK)$)[A-Z][A-Z-]{0,31}")
"""Browsers send no request with one of the three methods (Fetch Standard, section 2.2.1)."""

_MIN_SECRET_BYTES = 32
_REDIS_SCHEMES = frozenset({"redis", "rediss", "valkey", "valkeys"})
_REDIS_DATABASE = re.compile(r"(/[0-9]{0,3})?")
_MAX_REVOCATION_SECONDS = 3_600
_HOST = r"([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])"
_ANY_HOST = _HOST.replace("a-z", "A-Za-z")
_PORT = r"(:[0-9]{1,5})?"
_ORIGIN = re.compile(rf"https?://{_HOST}{_PORT}")
_ISSUER = re.compile(rf"https?://{_ANY_HOST}{_PORT}(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?")
_PROVIDER_HOSTS = {
    name: re.compile(rf"https://({hosts})(/|$)")
    for name, hosts in {
        "auth0": r"[\w.-]+\.auth0\.com",
        "cognito": r"cognito-idp\.[\w.-]+\.amazonaws\.com(\.cn)?",
        "entra": r"login\.microsoftonline\.(com|us)|sts\.windows\.net",
        "google": r"accounts\.google\.com",
        "kubernetes": r"kubernetes\.default\.svc[\w.-]*",
        "okta": r"[\w.-]+\.(okta|oktapreview|okta-emea)\.com",
        "zitadel": r"[\w.-]+\.zitadel\.cloud",
    }.items()
}
"""Addresses that can only be those of identity providers."""

_SEPARATOR = re.compile(r"(?<!\\),")
_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_HEADERS = 32
_MAX_ISSUER_LENGTH = 255
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def _check_origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise PydanticCustomError("origin", "must be origins such as https://shop.example")
    return origin


def _check_header_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > _MAX_HEADERS or not all(map(_HEADER_NAME.fullmatch, names)):
        raise PydanticCustomError(
            "header", f"must be at most {_MAX_HEADERS} header names such as X-Tenant, without *"
        )
    return names


def _check_method_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > _MAX_HEADERS or not all(map(_METHOD_NAME.fullmatch, names)):
        raise PydanticCustomError(
            "method", f"must be at most {_MAX_HEADERS} methods in upper case such as QUERY"
        )
    return names


def count_processors() -> int:
    """Count the processors that this process may use.

    More threads would wait for each other.
    """
    allowed = os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)
    return min(len(allowed), MAX_HASHING_THREADS)


def _check_redis_url(secret: SecretStr) -> SecretStr:
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


def _check_network(text: str) -> str:
    if text == UNIX:
        return text
    with suppress(ValueError):
        network = ip_network(text)
        if network.prefixlen:
            return str(network)
    raise PydanticCustomError(
        "network",
        f"must be IP addresses or networks such as 10.0.0.0/8, or {UNIX}, and not all addresses",
    )


def _check_path(path: object) -> object:
    if flaw := find_path_flaw(str(path)):
        raise PydanticCustomError("path", "{flaw}", {"flaw": flaw})
    return path


def _check_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if flaw := "is blank" if is_blank(text) else find_text_flaw(text):
        raise PydanticCustomError("secret", "{flaw}", {"flaw": flaw})
    return secret


def _check_existing_file(path: Path) -> Path:
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return path
        flaw = f"{path} is not a regular file; name the PEM file"
    except PermissionError:  # the check of the key says whose permissions are missing
        return path
    except OSError:
        # A text of another form may be a secret, put into the wrong variable.
        missing = f"file {path}" if str(path).startswith(("/", ".")) else "such file"
        flaw = f"there is no {missing}; {HOW_TO_MAKE_A_KEY}"
    raise PydanticCustomError("file", "{flaw}", {"flaw": flaw})


def _check_long_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode(errors="surrogateescape")) < _MIN_SECRET_BYTES:
        raise PydanticCustomError(
            "secret", "must have 32 bytes or more; `openssl rand -hex 32` makes one"
        )
    return secret


def _parse_revocation(value: object) -> object:
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


def split_at_commas(text: str) -> list[str]:
    r"""Return the parts of a text, without spaces around them.

    A comma in a part is written as `\,`.
    """
    return [part.strip().replace(r"\,", ",") for part in _SEPARATOR.split(text)]


def comma_separated(value: object) -> object:
    """Split a text; return any other value unchanged."""
    return split_at_commas(value) if isinstance(value, str) else value


def check_name(name: str) -> None:
    """Refuse an invalid audience."""
    if not _NAME.fullmatch(name):
        raise PydanticCustomError("name", "must be 1 to 255 printable ASCII characters, no spaces")


def check_own_issuer(url: str) -> None:
    """Refuse a URL that cannot be this service's address; explain why."""
    flaw = None
    provider = next((name for name, host in _PROVIDER_HOSTS.items() if host.match(url)), None)
    if provider:
        flaw = f"is not an address of this service; set ORDERGATE_IDENTITY_PROVIDER={provider}"
    elif len(url) > _MAX_ISSUER_LENGTH:
        flaw = f"must have at most {_MAX_ISSUER_LENGTH} characters"
    elif not url.startswith(("https://", "http://")):
        flaw = (
            "must begin with https:// or http://, as the public URL of this service; for tokens of"
            " another issuer, set ORDERGATE_IDENTITY_PROVIDER"
        )
    elif "?" in url or "#" in url:
        flaw = "must have no query and no fragment"
    elif "@" in url.partition("://")[2].partition("/")[0]:
        flaw = "must have no user name"
    elif not _ISSUER.fullmatch(url):
        flaw = (
            "must be a host, an optional port and an optional path without empty segments, such as"
            " https://orders.example"
        )
    if flaw:
        raise PydanticCustomError("issuer", "{flaw}", {"flaw": flaw})


def _check_public_url(url: str) -> str:
    check_own_issuer(url)
    return url


def _check_function_name(name: str) -> str:
    if not _FUNCTION.fullmatch(name):
        raise PydanticCustomError("function", "must look like package.module:function")
    return name


FunctionName = Annotated[str, AfterValidator(_check_function_name)]
PublicUrl = Annotated[str, AfterValidator(_check_public_url)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Network = Annotated[str, AfterValidator(_check_network)]
Folder = Annotated[Path, BeforeValidator(_check_path)]
FilePath = Annotated[Path, BeforeValidator(_check_path)]
Secret = Annotated[SecretStr, AfterValidator(_check_secret)]
RedisUrl = Annotated[Secret, AfterValidator(_check_redis_url)]
ExistingFile = Annotated[Path, BeforeValidator(_check_path), AfterValidator(_check_existing_file)]
LongSecret = Annotated[Secret, AfterValidator(_check_long_secret)]
RevocationBound = Annotated[
    Literal["until-expiry", "at-once"] | int, PlainValidator(_parse_revocation)
]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(comma_separated)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(comma_separated)]
MethodNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(comma_separated), AfterValidator(_check_method_names)
]
HeaderNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(comma_separated), AfterValidator(_check_header_names)
]
