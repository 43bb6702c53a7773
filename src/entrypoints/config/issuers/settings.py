"""The settings for tokens of another issuer."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ordergate.entrypoints.config.environment import EnvironmentSettings
from ordergate.entrypoints.config.issuers.values import (
    PROVIDERS_WITHOUT_SCOPES,
    Algorithms,
    Claims,
    Hosts,
    JwtType,
    KeyUrls,
    Prefix,
    Providers,
    ProxyUrl,
    ScopeMap,
    Scopes,
    check_foreign_issuers,
    check_key_urls,
)
from ordergate.entrypoints.config.setting_values import PublicUrl, split_at_commas


class OtherIssuerSettings(EnvironmentSettings):
    """How another issuer writes its access tokens, and where its keys are.

    `issuer` and `audience` of `Settings` belong to it too.
    """

    identity_provider: Providers = ()
    """The kind of issuer whose access tokens are accepted instead of own ones: `oidc` for any that
    publishes metadata, or `keycloak`, `auth0`, `entra`, `okta`, `cognito`, `google`, `zitadel`,
    `spring` or `kubernetes`. For several issuers, one for each in their order, separated by commas,
    or one for all. Default: none."""

    plain_http_hosts: Hosts = ()
    """Hosts that metadata and keys may come from by `http`, separated by commas. Anyone who can
    change the traffic to these hosts, as a proxy can, can sign tokens for every user. Default:
    none."""

    jwks_url: KeyUrls = ()
    """The URL where another issuer publishes its keys, if it has no metadata that names it. For
    several issuers, one for each in their order, separated by commas, or one for all. Default:
    the `jwks_uri` of the metadata."""

    jwt_type: JwtType | None = None
    """The `typ` of the issuer's access tokens: `at+jwt` (RFC 9068), or `jwt` for an issuer that
    writes `JWT` or no type. Default: that of `IDENTITY_PROVIDER`, or `at+jwt`."""

    jwt_algorithms: Algorithms = ()
    """The signature algorithms that are accepted, separated by commas: some of RS256, RS384, RS512,
    PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519 and Ed448. Default: all of these."""

    scope_claim: Claims = ()
    """The claims with the scopes of a token, separated by commas. Their values are text, a list, or
    an object whose names are the scopes. A name that begins with `/` is a JSON Pointer, as in
    `/realm_access/roles`. Default: that of `IDENTITY_PROVIDER`, or `scope` and `scp`."""

    scope_prefix: Prefix | None = None
    """The beginning of the scopes for this API, which is removed. Scopes without it are ignored.
    Default: none."""

    scope_map: ScopeMap = Field(default_factory=dict)
    """Scopes by their names in tokens, as in `Orders.Read=orders:read`, separated by commas. A name
    can stand for several scopes, separated by spaces. Other names are kept. Default: none."""

    default_scope: Scopes = ()
    """The scopes of tokens without a scope claim, separated by spaces. Of several issuers, it
    applies to `google` and `kubernetes` alone. Default: none."""

    outgoing_proxy: ProxyUrl | None = None
    """The proxy for requests to the issuer, as in `http://name:password@proxy.example:3128`, or
    `environment` for that of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. Default: none."""

    @field_validator("jwks_url")
    @classmethod
    def _check_key_urls(cls, urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        check_key_urls(urls, info.data.get("plain_http_hosts", ()))
        return urls

    public_url: PublicUrl | None = None
    """The public URL of this service, if another issuer signs the tokens. Clients then find that
    issuer by the metadata of RFC 9728. Default: none."""

    @property
    def issues_tokens(self) -> bool:
        """Whether people sign in here, and not with another issuer."""
        return not self.identity_provider and not self.jwks_url


def names_other_issuer(data: Mapping[str, Any]) -> bool:
    """Return whether `data` may name another issuer.

    Unusable settings may name one.
    """
    return any(data.get(name, ("unusable",)) for name in ("identity_provider", "jwks_url"))


def check_foreign_issuer(text: str, data: Mapping[str, Any]) -> None:
    """Check the names of other issuers, with the settings validated before."""
    issuers = split_at_commas(text)
    for name in ("identity_provider", "jwks_url"):
        if len(data.get(name, ())) not in {0, 1, len(issuers)}:
            raise PydanticCustomError(
                "issuer",
                "must name as many issuers as ORDERGATE_{name} has values, or that has one value",
                {"name": name.upper()},
            )
    check_foreign_issuers(
        tuple(issuers),
        discovered=not data.get("jwks_url", ("unusable",)),
        plain_http_hosts=data.get("plain_http_hosts", ()),
    )
    providers = data.get("identity_provider", PROVIDERS_WITHOUT_SCOPES)  # unusable ones may be
    scoped = PROVIDERS_WITHOUT_SCOPES.isdisjoint(providers)
    if len(issuers) > 1 and scoped and data.get("default_scope"):
        raise PydanticCustomError(
            "issuer",
            "names several issuers whose tokens have scopes, and ORDERGATE_DEFAULT_SCOPE is not"
            " for them; remove it",
        )
