"""How issuers write scopes and audiences."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.tokens.issuer_profiles import (
    PROFILES,
    RFC_9068,
    IssuerProfile,
)
from ordergate.application.errors import InvalidToken

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["aud", "scope", "scp", "roles", "azp", "typ", "token_use", "client_id", "realm_access", "cid"]
)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, "a b"),
        ({"scope": ["a", "b", 5, None]}, "a b"),
        ({"scp": "a", "scope": ["b"]}, "a b"),
        ({"scope": {"a": {"7": "x"}, "b": None}}, "a b"),
        ({"scope": 5, "scp": "a"}, "a"),
        ({"scope": "  a  \t"}, "a"),
        ({"scope": None}, ""),
        ({}, "default"),
    ],
    ids=str,
)
def test_scopes_are_text_a_list_or_names(claims: dict[str, Any], scopes: str) -> None:
    profile = IssuerProfile(default_scope=frozenset({"default"}))
    assert profile.read_scope(claims) == set(scopes.split())


@pytest.mark.parametrize(
    ("pointer", "scopes"),
    [
        ("/realm_access/roles", {"a"}),
        ("/https:~1~1shop.example~1roles", {"b"}),
        ("/a~0b", {"c"}),
        ("https://shop.example/roles", {"b"}),
        ("/realm_access/roles/0", set()),
        ("/scope/x", set()),
        ("/missing/roles", set()),
    ],
)
def test_nested_scopes_are_found_by_a_json_pointer(pointer: str, scopes: set[str]) -> None:
    """RFC 6901."""
    claims = {
        "realm_access": {"roles": ["a"]},
        "https://shop.example/roles": ["b"],
        "a~b": "c",
        "scope": "d",
    }
    assert IssuerProfile(scope_claims=(pointer,)).read_scope(claims) == scopes


def test_prefix_is_removed_before_the_map() -> None:
    profile = IssuerProfile(
        scope_prefix="api/", scope_map={"Read": ("orders:read",), "All": ("x", "y")}
    )
    claims = {"scope": "api/Read api/All api/other Read orders:write api/"}
    assert profile.read_scope(claims) == {"orders:read", "x", "y", "other"}


@pytest.mark.parametrize("audience", ["a", ["x", "a"], ["a", 5, {}], ["a", "a"]])
def test_audience_is_one_of_several(audience: object) -> None:
    RFC_9068.require_audience({"aud": audience}, ("a", "b"))


@pytest.mark.parametrize("audience", ["c", [], {}, None, 5, {"a": 1}, [["a"]], "A", "a "])
def test_another_audience_is_refused(audience: object) -> None:
    with pytest.raises(InvalidToken, match="aud is another audience"):
        RFC_9068.require_audience({"aud": audience}, ("a", "b"))


ACCESS: dict[str, dict[str, object]] = {
    "keycloak": {"typ": "Bearer"},
    "entra": {"scp": "Orders.Read"},
    "okta": {"cid": "shop"},
    "cognito": {"token_use": "access"},
}
"""The claims that access tokens of an issuer must have."""

ID_TOKENS: list[tuple[str, Mapping[str, object]]] = [
    *((name, {"at_hash": "x"}) for name in PROFILES if name != "google"),
    *((name, {"c_hash": "x"}) for name in PROFILES if name != "google"),
    ("keycloak", {"typ": "ID"}),
    ("keycloak", {"typ": None}),
    ("entra", {"scp": ..., "roles": ["Orders.Read"]}),
    ("okta", {"cid": ..., "scp": ["orders:read"]}),
    ("cognito", {"token_use": "id"}),
    ("cognito", {"token_use": ...}),
    ("zitadel", {"amr": ["pwd"]}),
    ("zitadel", {"auth_time": 1}),
    ("zitadel", {"nonce": "x"}),
    ("spring", {"azp": "shop"}),
    ("spring", {"nonce": "x"}),
]
"""One difference of an ID token from an access token; a claim that is `...` is left out."""


@pytest.mark.parametrize(("provider", "difference"), ID_TOKENS, ids=str)
def test_id_token_is_refused_by_each_of_its_differences(
    provider: str, difference: Mapping[str, object]
) -> None:
    access = ACCESS.get(provider, {})
    PROFILES[provider].require_access_token(access)
    claims = {k: v for k, v in {**access, **difference}.items() if v is not ...}
    with pytest.raises(InvalidToken):
        PROFILES[provider].require_access_token(claims)


@pytest.mark.parametrize("claim", ["scp", "azp", "appid"])
def test_access_token_of_entra_has_one_claim_of_a_client(claim: str) -> None:
    PROFILES["entra"].require_access_token({claim: "x"})


def test_id_token_of_google_is_accepted() -> None:
    """Its services send each other ID tokens."""
    PROFILES["google"].require_access_token({"at_hash": "x", "azp": "shop", "nonce": "x"})


@given(st.sampled_from(sorted(PROFILES)), st.dictionaries(NAMES, json_values, max_size=6))
def test_any_claims_are_read_or_refused(name: str, claims: dict[str, object]) -> None:
    profile = PROFILES[name]
    assert all(isinstance(scope, str) for scope in profile.read_scope(claims))
    with suppress(InvalidToken):
        profile.require_audience(claims, ("a",))
    with suppress(InvalidToken):
        profile.require_access_token(claims)
