"""Types of the settings of other issuers, with their error messages."""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from ordergate.application.issuer_address import find_address_error
from ordergate.entrypoints.config.setting_values import (
    Secret,
    comma_separated,
    split_at_commas,
)

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
)
"""The signature algorithms of other issuers."""

PROVIDERS = (
    *("oidc", "keycloak", "auth0", "entra", "okta"),
    *("cognito", "google", "zitadel", "spring", "kubernetes"),
)
"""The kinds of issuers whose tokens are known."""

PROVIDERS_WITHOUT_SCOPES = frozenset({"google", "kubernetes"})
"""The kinds whose tokens never have scopes."""

_MAX_LENGTH = 255
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-\[\]_a-z~]+")
_SCOPE = re.compile(r"[!#-\[\]-~]+")
_PAIR = re.compile(r"([!#-+\--\[\]-~]+)=([!#-+\--<>-\[\]-~]+(?: [!#-+\--<>-\[\]-~]+)*)")


def _require_choice(choices: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in choices:
            raise PydanticCustomError("choice", f"must be some of {', '.join(choices)}")
        return name

    return AfterValidator(check)


def _check_host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise PydanticCustomError(
            "host", "must be names of hosts in lower case, without scheme, port and path"
        )
    return name


def _check_claim(name: str) -> str:
    if not 0 < len(name) <= _MAX_LENGTH or not name.isprintable() or " " in name:
        raise PydanticCustomError("claim", "must be 1 to 255 printable characters, no spaces")
    return name


def _check_prefix(text: str) -> str:
    if not _SCOPE.fullmatch(text) or len(text) > _MAX_LENGTH:
        raise PydanticCustomError(
            "scope", "must be 1 to 255 characters of a scope: printable ASCII, no spaces"
        )
    return text


def _read_scopes(value: object) -> object:
    words = value.split(" ") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(map(_SCOPE.fullmatch, words)):
        raise PydanticCustomError("scope", "must be scopes, separated by single spaces")
    return tuple(words)


def _read_scope_map(value: object) -> object:
    """Read pairs such as `Orders.Read=orders:read`."""
    if isinstance(value, Mapping):
        return value
    pairs = [_PAIR.fullmatch(pair) for pair in split_at_commas(str(value))]
    found = {pair[1]: tuple(pair[2].split(" ")) for pair in pairs if pair}
    if len(found) < len(pairs):
        raise PydanticCustomError(
            "map", "must be pairs such as Orders.Read=orders:read, separated by commas"
        )
    return found


def _check_proxy(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    with suppress(ValueError):  # of a port; its text may be part of a password
        parts = urlsplit(url)
        if url == "environment" or (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            and parts.path in {"", "/"}
            and {"?", "#", " "}.isdisjoint(url)
        ):
            return secret
    raise PydanticCustomError(
        "url", "must look like http://name:password@proxy.example:3128, or be environment"
    )


def check_key_urls(urls: tuple[str, ...], plain_http_hosts: Collection[str]) -> None:
    """Refuse URLs that keys may not be fetched from."""
    for url in urls:
        flaw = find_address_error(url, plain_http_hosts)
        if flaw is None and not urlsplit(url).path:
            flaw = "must have a path, as in https://id.example/jwks"
        if flaw:
            raise PydanticCustomError("url", "{flaw}", {"flaw": _add_advice(flaw)})


def check_foreign_issuers(
    issuers: tuple[str, ...], *, discovered: bool, plain_http_hosts: Collection[str]
) -> None:
    """Refuse impossible names, and names whose keys cannot be discovered."""
    for issuer in issuers:
        flaw = _find_string_or_uri_error(issuer)
        if flaw is None and discovered:
            flaw = _find_discovery_error(issuer, plain_http_hosts)
        if flaw:
            raise PydanticCustomError("issuer", "{flaw}", {"flaw": flaw})
    if len(set(issuers)) < len(issuers):
        raise PydanticCustomError("issuer", "names an issuer twice")


def _find_string_or_uri_error(issuer: str) -> str | None:
    """Name the broken rule of a StringOrURI (RFC 7519, section 2)."""
    if not 0 < len(issuer) <= _MAX_LENGTH:
        return "must be 1 to 255 characters"
    if not issuer.isprintable():
        return "must have printable characters"
    if ":" in issuer and not _URI.fullmatch(issuer):
        return "has a colon, so it must be a URI with a scheme (RFC 7519, section 2)"
    return None


def _find_discovery_error(issuer: str, plain_http_hosts: Collection[str]) -> str | None:
    flaw = find_address_error(issuer, plain_http_hosts)
    if flaw is None and "?" in issuer:
        flaw = "must have no query (?)"
    if flaw is None:
        return None
    return f"{_add_advice(flaw)}; or name its keys in ORDERGATE_JWKS_URL, without discovery"


def _add_advice(flaw: str) -> str:
    if flaw.startswith("is http"):
        return f"{flaw}, or name the host in ORDERGATE_PLAIN_HTTP_HOSTS"
    return flaw


Provider = Annotated[str, _require_choice(PROVIDERS)]
Claim = Annotated[str, AfterValidator(_check_claim)]
Prefix = Annotated[str, AfterValidator(_check_prefix)]
Host = Annotated[str, AfterValidator(_check_host)]
JwtType = Literal["at+jwt", "jwt"]
ProxyUrl = Annotated[Secret, AfterValidator(_check_proxy)]
Providers = Annotated[tuple[Provider, ...], NoDecode, BeforeValidator(comma_separated)]
Algorithms = Annotated[
    tuple[Annotated[str, _require_choice(ALGORITHMS)], ...],
    NoDecode,
    BeforeValidator(comma_separated),
]
Hosts = Annotated[tuple[Host, ...], NoDecode, BeforeValidator(comma_separated)]
KeyUrls = Annotated[tuple[str, ...], NoDecode, BeforeValidator(comma_separated)]
Claims = Annotated[tuple[Claim, ...], NoDecode, BeforeValidator(comma_separated)]
Scopes = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_scopes)]
ScopeMap = Annotated[dict[str, tuple[str, ...]], NoDecode, BeforeValidator(_read_scope_map)]
