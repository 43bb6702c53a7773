"""The settings for tokens of another issuer."""

import os
from unittest.mock import patch

import pytest

from ordergate.adapters.tokens.issuer_profiles import (
    ACCESS_TOKEN_TYPES,
    ANY_JWT_TYPES,
    PROFILES,
)
from ordergate.adapters.tokens.keys.algorithms import PUBLIC_ALGORITHMS
from ordergate.application.errors import InvalidToken
from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.issuers.values import ALGORITHMS, PROVIDERS
from ordergate.entrypoints.config.loading import SettingsError, load_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.tokens import make_profile, make_remote_keys

SECRET = "a secret of more than thirty-two bytes"
ISSUER = "https://id.example"
OIDC = {"IDENTITY_PROVIDER": "oidc", "ISSUER": ISSUER, "AUDIENCE": "orders"}


def load_with(**variables: str) -> Settings:
    with patch.dict(os.environ, {PREFIX + name: value for name, value in variables.items()}):
        return load_settings({})


def load_problems(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_with(**variables)
    return refusal.value.problems


def test_provider_issuer_and_audience_are_enough() -> None:
    settings = load_with(**OIDC)
    assert not settings.issues_tokens
    assert (settings.issuers, settings.audiences) == ((ISSUER,), ("orders",))
    assert load_with().issues_tokens
    assert load_with(ISSUER=ISSUER, AUDIENCE="orders").issues_tokens


def test_providers_are_those_whose_tokens_are_known() -> None:
    assert tuple(PROFILES) == PROVIDERS
    for name in PROVIDERS:
        assert load_with(**OIDC | {"IDENTITY_PROVIDER": name}).identity_provider == (name,)
    (problem,) = load_problems(**OIDC | {"IDENTITY_PROVIDER": "azure"})
    assert problem.startswith(
        "ORDERGATE_IDENTITY_PROVIDER: must be some of oidc, keycloak, auth0, entra, okta,"
    )


@pytest.mark.parametrize("other", ["IDENTITY_PROVIDER", "JWKS_URL"])
@pytest.mark.parametrize("name", ["SIGNING_SECRET", "SIGNING_KEY_FILE"])
def test_external_issuer_excludes_signing_keys(name: str, other: str) -> None:
    value = {"SIGNING_SECRET": SECRET, "SIGNING_KEY_FILE": __file__}[name]
    named = {"IDENTITY_PROVIDER": "oidc", "JWKS_URL": "https://id.example/jwks"}[other]
    given = {"ISSUER": ISSUER, "AUDIENCE": "orders", other: named, name: value}
    assert load_problems(**given) == [f"ORDERGATE_{name} and ORDERGATE_{other} exclude each other"]


def test_external_issuer_requires_its_name_and_an_audience() -> None:
    assert load_problems(JWKS_URL="https://id.example/jwks") == [
        "ORDERGATE_JWKS_URL needs ORDERGATE_ISSUER, the `iss` of its issuer's tokens"
    ]
    assert load_problems(IDENTITY_PROVIDER="oidc") == [
        "ORDERGATE_IDENTITY_PROVIDER needs ORDERGATE_ISSUER, the `iss` of its issuer's tokens",
        "ORDERGATE_IDENTITY_PROVIDER needs ORDERGATE_AUDIENCE, the `aud` of tokens for this API",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("SCOPE_CLAIM", "scp"), ("JWT_TYPE", "jwt"), ("OUTGOING_PROXY", "environment")],
)
def test_setting_for_another_issuer_is_refused_without_one(name: str, value: str) -> None:
    assert load_problems(**{name: value}) == [
        f"ORDERGATE_{name} needs ORDERGATE_IDENTITY_PROVIDER, the kind of the issuer"
    ]


@pytest.mark.parametrize(
    ("issuer", "provider"),
    [
        ("https://TENANT.eu.auth0.com/", "auth0"),
        ("https://login.microsoftonline.com/1111/v2.0", "entra"),
        ("https://sts.windows.net/1111/", "entra"),
        ("https://shop.okta.com/oauth2/default", "okta"),
        ("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A1b2", "cognito"),
        ("https://accounts.google.com", "google"),
        ("https://shop.zitadel.cloud", "zitadel"),
        ("https://kubernetes.default.svc.cluster.local", "kubernetes"),
    ],
)
def test_issuer_of_a_known_provider_needs_its_kind(issuer: str, provider: str) -> None:
    (problem,) = load_problems(ISSUER=issuer, AUDIENCE="orders")
    assert problem == (
        "ORDERGATE_ISSUER: is not an address of this service;"
        f" set ORDERGATE_IDENTITY_PROVIDER={provider}"
    )
    known = load_with(**OIDC | {"IDENTITY_PROVIDER": provider, "ISSUER": issuer})
    assert known.issuers == (issuer,)
    own = "https://okta.com.shop.example"
    assert load_with(ISSUER=own).issuers == (own,)


# Issuers


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.example/realms/shop",
        "https://TENANT.eu.auth0.com/",
        "https://Id.Example/Realms/Shop",
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A1b2C3d4E",
        "http://localhost:8080",
    ],
)
def test_discovered_issuer_is_a_url(issuer: str) -> None:
    assert load_with(**OIDC | {"ISSUER": issuer}).issuers == (issuer,)


@pytest.mark.parametrize(
    "issuer",
    [
        "accounts.google.com",
        "urn:example:issuer:7",
        "https://id.example?tenant=7",
        "https://id.example/#shop",
        "http://keycloak/realms/shop",
        "kubernetes/serviceaccount",
        "did:web:id.example",
        "ISSUER",
        "Our Company",
        "Üçü",
    ],
)
def test_any_string_or_uri_is_an_issuer_when_its_keys_have_an_address(issuer: str) -> None:
    keys = {"JWKS_URL": "https://id.example/jwks"}
    assert load_with(**OIDC | {"ISSUER": issuer} | keys).issuers == (issuer,)


@pytest.mark.parametrize(
    ("issuer", "rule"),
    [
        ("accounts.google.com", "must begin with https:// or http://"),
        ("urn:example:issuer:7", "must begin with https:// or http://"),
        ("https://id.example?tenant=7", "must have no query (?)"),
        ("https://id.example/#shop", "must have no fragment (#)"),
        ("https://me:pw@id.example", "must have no user name and no password"),
        ("https://id.example:65536", "must be a host, an optional port and a path"),
        ("https://", "must be a host, an optional port and a path"),
        (
            "http://keycloak/realms/shop",
            "is http, which anyone on the way can change; use https, or name the host in",
        ),
    ],
)
def test_error_of_a_discovered_issuer_names_the_broken_rule(issuer: str, rule: str) -> None:
    (problem,) = load_problems(**OIDC | {"ISSUER": issuer})
    assert problem.startswith(f"ORDERGATE_ISSUER: {rule}")
    assert problem.endswith("; or name its keys in ORDERGATE_JWKS_URL, without discovery")


@pytest.mark.parametrize(
    ("issuer", "rule"),
    [
        ("a\u200bb", "must have printable characters"),
        ("https://é.example", "has a colon, so it must be a URI with a scheme"),
        ("urn:a b", "has a colon, so it must be a URI with a scheme"),
        ("x" * 256, "must be 1 to 255 characters"),
        ("a,", "must be 1 to 255 characters"),
        ("7:x", "has a colon, so it must be a URI with a scheme"),
        (":x", "has a colon, so it must be a URI with a scheme"),
        ("a,b,a", "names an issuer twice"),
    ],
)
def test_error_of_any_issuer_names_the_broken_rule(issuer: str, rule: str) -> None:
    (problem,) = load_problems(**OIDC | {"ISSUER": issuer, "JWKS_URL": "https://id.example/jwks"})
    assert problem.startswith(f"ORDERGATE_ISSUER: {rule}")


def test_name_with_a_comma_is_one_name() -> None:
    settings = load_with(
        IDENTITY_PROVIDER="oidc",
        ISSUER=r"urn:example:a\,b, https://b.example",
        JWKS_URL=r"https://a.example/jwks?keys=a\,b, https://b.example/jwks",
        AUDIENCE=r"urn:example:a\,b,orders",
    )
    assert settings.issuers == ("urn:example:a,b", "https://b.example")
    assert settings.audiences == ("urn:example:a,b", "orders")
    assert settings.jwks_url == ("https://a.example/jwks?keys=a,b", "https://b.example/jwks")


def test_several_issuers_have_their_own_keys_and_profiles() -> None:
    settings = load_with(
        IDENTITY_PROVIDER="entra,kubernetes",
        ISSUER="https://a.example, https://b.example",
        JWKS_URL="https://a.example/jwks,https://b.example/jwks",
        AUDIENCE="orders, api://orders",
    )
    assert settings.issuers == ("https://a.example", "https://b.example")
    assert settings.audiences == ("orders", "api://orders")
    keys = make_remote_keys(settings)
    assert {name: vars(each)["_url"] for name, each in keys.items()} == {
        "https://a.example": "https://a.example/jwks",
        "https://b.example": "https://b.example/jwks",
    }


def test_single_value_is_for_every_issuer() -> None:
    names = {"ISSUER": "https://accounts.google.com,accounts.google.com"}
    url = "https://www.googleapis.com/oauth2/v3/certs"
    keys = make_remote_keys(load_with(**OIDC | names | {"JWKS_URL": url}))
    assert {vars(each)["_url"] for each in keys.values()} == {url}


@pytest.mark.parametrize(
    ("name", "values"),
    [("JWKS_URL", "https://a/jwks,https://b/jwks"), ("IDENTITY_PROVIDER", "oidc,oidc")],
)
def test_number_of_issuers_is_that_of_other_lists(name: str, values: str) -> None:
    given = OIDC | {"ISSUER": "https://a,https://b,https://c", name: values}
    (problem,) = load_problems(**given)
    assert problem == (
        f"ORDERGATE_ISSUER: must name as many issuers as ORDERGATE_{name} has values, or that has"
        " one value"
    )


# Addresses of keys


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example/realms/shop/protocol/openid-connect/certs",
        "https://ID.example/jwks",
        "https://id.example:8443/jwks?v=2",
        "https://[2001:db8::1]/jwks",
        "http://localhost:8080/jwks",
        "http://127.0.0.1:8080/jwks",
        "http://[::1]/jwks",
    ],
)
def test_jwks_url_disables_sign_in(url: str) -> None:
    settings = load_with(JWKS_URL=url, ISSUER="https://id.example/")
    assert (settings.jwks_url, settings.issuer) == ((url,), "https://id.example/")
    assert not settings.issues_tokens


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("id.example/jwks", "must begin with https:// or http://"),
        ("file:///etc/passwd", "must begin with https:// or http://"),
        ("https://id.example", "must have a path"),
        ("https:///jwks", "must be a host, an optional port and a path"),
        ("https://me:pw@id.example/jwks", "must have no user name and no password"),
        ("https://id.example/a b", "must have printable ASCII characters, no spaces"),
        ("https://id.example/jwks#keys", "must have no fragment (#)"),
        ("https://id.example:0/jwks", "must be a host, an optional port and a path"),
        ("https://id.example:65536/jwks", "must be a host, an optional port and a path"),
        ("https://[:::]/jwks", "must be a host, an optional port and a path"),
        ("http://id.example/jwks", "is http, which anyone on the way can change; use https, or"),
        ("http://127.0.0.1.example/jwks", "is http, which anyone on the way can change"),
        ("http://127.0.0.256/jwks", "is http, which anyone on the way can change"),
        ("http://localhost@id.example/jwks", "must have no user name and no password"),
    ],
)
def test_error_of_a_jwks_url_names_the_broken_rule(url: str, rule: str) -> None:
    (problem,) = load_problems(JWKS_URL=url, ISSUER="https://id.example")
    assert problem.startswith(f"ORDERGATE_JWKS_URL: {rule}")


def test_plain_http_requires_the_name_of_the_host() -> None:
    url = "http://keycloak.auth.svc.cluster.local:8080/realms/shop"
    for host in ("keycloak", "keycloak.auth.svc.cluster.local.", "svc.cluster.local"):
        (problem,) = load_problems(**OIDC | {"ISSUER": url, "PLAIN_HTTP_HOSTS": host})
        assert problem.startswith("ORDERGATE_ISSUER: is http, which anyone on the way can change")
    hosts = "keycloak, keycloak.auth.svc.cluster.local"
    assert load_with(**OIDC | {"ISSUER": url, "PLAIN_HTTP_HOSTS": hosts}).issuers == (url,)
    for wrong in ("*", "http://keycloak", "keycloak:8080", "Keycloak", "a,"):
        (problem,) = load_problems(**OIDC | {"PLAIN_HTTP_HOSTS": wrong})
        assert problem.startswith("ORDERGATE_PLAIN_HTTP_HOSTS: must be names of hosts in lower")


@pytest.mark.parametrize(
    "url", ["http://proxy.example:3128", "https://me:p%40ss@proxy.example", "environment"]
)
def test_outgoing_proxy_is_a_url_or_the_environment(url: str) -> None:
    settings = load_with(**OIDC | {"OUTGOING_PROXY": url})
    assert settings.outgoing_proxy is not None
    assert settings.outgoing_proxy.get_secret_value() == url
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    ["proxy:3128", "socks5://proxy", "http://", "http://p:0", "http://p/x", "http://p:hunter2"],
)
def test_any_other_proxy_is_refused_and_not_repeated(url: str) -> None:
    (problem,) = load_problems(**OIDC | {"OUTGOING_PROXY": url})
    assert problem == (
        "ORDERGATE_OUTGOING_PROXY: must look like http://name:password@proxy.example:3128, or be"
        " environment"
    )


# The form of tokens


def test_algorithms_are_those_that_are_verified() -> None:
    assert ALGORITHMS == PUBLIC_ALGORITHMS
    assert load_with(**OIDC).jwt_algorithms == ()
    for value in ("RS256, EdDSA", ",".join(PUBLIC_ALGORITHMS)):
        settings = load_with(**OIDC | {"JWT_ALGORITHMS": value})
        assert ",".join(settings.jwt_algorithms) == value.replace(" ", "")
    for wrong in ("HS256", "none", "rs256", "RS256,"):
        (problem,) = load_problems(**OIDC | {"JWT_ALGORITHMS": wrong})
        assert problem.startswith("ORDERGATE_JWT_ALGORITHMS: must be some of RS256, RS384,")


def test_type_of_jwts_is_that_of_the_provider_or_the_setting() -> None:
    assert load_problems(**OIDC | {"JWT_TYPE": "id+jwt"}) == [
        "ORDERGATE_JWT_TYPE: must be one of at+jwt, jwt"
    ]
    for provider, setting, types in (
        ("oidc", {}, ACCESS_TOKEN_TYPES),
        ("oidc", {"JWT_TYPE": "jwt"}, ANY_JWT_TYPES),
        ("entra", {}, ANY_JWT_TYPES),
        ("keycloak", {"JWT_TYPE": "at+jwt"}, ACCESS_TOKEN_TYPES),
    ):
        settings = load_with(**OIDC | {"IDENTITY_PROVIDER": provider} | setting)
        assert make_profile(settings, provider).types == types


def test_id_token_is_refused_where_the_type_does_not_tell() -> None:
    profile = make_profile(load_with(**OIDC | {"JWT_TYPE": "jwt"}), "oidc")
    profile.require_access_token({"scope": "orders:read"})
    with pytest.raises(InvalidToken, match="at_hash is a claim of ID tokens"):
        profile.require_access_token({"scope": "orders:read", "at_hash": "x"})


def test_scopes_are_read_as_the_settings_say() -> None:
    settings = load_with(
        **OIDC
        | {
            "SCOPE_CLAIM": "scp, /realm_access/roles",
            "SCOPE_PREFIX": "api://orders/",
            "SCOPE_MAP": "Read=orders:read, All=orders:read orders:write",
            "DEFAULT_SCOPE": "orders:read",
        }
    )
    profile = make_profile(settings, "oidc")
    claims = {
        "scp": "api://orders/Read Read other",
        "realm_access": {"roles": ["api://orders/All", "api://orders/account", "api://orders/", 5]},
    }
    assert profile.read_scope(claims) == {"orders:read", "orders:write", "account"}
    assert profile.read_scope({"scope": "api://orders/Read"}) == {"orders:read"}


def test_default_scope_is_not_for_issuers_that_write_scopes_beside_others() -> None:
    several = {
        "IDENTITY_PROVIDER": "auth0,kubernetes,google",
        "ISSUER": "https://a.example,https://b.example,https://c.example",
        "DEFAULT_SCOPE": "orders:read",
    }
    settings = load_with(**OIDC | several)
    scopes = {
        name: make_profile(settings, name).read_scope({}) for name in settings.identity_provider
    }
    assert scopes == {"auth0": set(), "kubernetes": {"orders:read"}, "google": {"orders:read"}}
    for alone in ("auth0", "kubernetes"):
        settings = load_with(**OIDC | {"IDENTITY_PROVIDER": alone, "DEFAULT_SCOPE": "orders:read"})
        assert make_profile(settings, alone).read_scope({}) == {"orders:read"}


@pytest.mark.parametrize(
    "provider", [{"IDENTITY_PROVIDER": "auth0,oidc"}, {"JWKS_URL": "https://id.example/jwks"}]
)
def test_default_scope_for_no_issuer_is_refused(provider: dict[str, str]) -> None:
    given = {"ISSUER": "https://a.example,https://b.example", "AUDIENCE": "orders"}
    (problem,) = load_problems(**given, **provider, DEFAULT_SCOPE="orders:read")
    assert problem == (
        "ORDERGATE_ISSUER: names several issuers whose tokens have scopes, and"
        " ORDERGATE_DEFAULT_SCOPE is not for them; remove it"
    )


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("SCOPE_CLAIM", "scp,", "must be 1 to 255 printable characters, no spaces"),
        ("SCOPE_PREFIX", "a b", "must be 1 to 255 characters of a scope"),
        ("SCOPE_MAP", "Orders.Read", "must be pairs such as Orders.Read=orders:read"),
        ("SCOPE_MAP", "a=b,,c=d", "must be pairs such as Orders.Read=orders:read"),
        ("SCOPE_MAP", "a=b  c", "must be pairs such as Orders.Read=orders:read"),
        ("DEFAULT_SCOPE", "a  b", "must be scopes, separated by single spaces"),
    ],
)
def test_malformed_scope_setting_is_refused(name: str, value: str, rule: str) -> None:
    (problem,) = load_problems(**OIDC | {name: value})
    assert problem.startswith(f"ORDERGATE_{name}: {rule}")


@pytest.mark.parametrize("audience", ["a b", "a,,b", "é", "x" * 256])
def test_each_audience_is_a_short_plain_name(audience: str) -> None:
    expected = "must be 1 to 255 printable ASCII characters, no spaces"
    assert load_problems(**OIDC | {"AUDIENCE": audience}) == [f"ORDERGATE_AUDIENCE: {expected}"]
