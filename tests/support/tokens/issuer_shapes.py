"""Access tokens and ID tokens as large issuers write them.

`ISSUER` and `AUDIENCE` stand for what the settings name; times are added.
"""

from dataclasses import dataclass, field
from typing import Any

ISSUER = "<issuer>"
AUDIENCE = "<audience>"

Claims = dict[str, Any]

_USER = "5be86359-073c-434b-ad2d-a3932222dabe"
_TENANT = "11111111-2222-3333-4444-555555555555"
_APP = "77777777-8888-9999-0000-111111111111"


@dataclass(frozen=True)
class Shape:
    """The header of an issuer's tokens, and the claims of each kind.

    `access` may read orders. `unscoped` has no scope that this API knows. `id_token` is not for
    APIs, also where it has their audience; `None` if the issuer has no other tokens.
    """

    access: Claims
    unscoped: Claims
    id_token: Claims | None
    header: Claims = field(default_factory=lambda: {"typ": "JWT"})
    jwk: Claims = field(default_factory=lambda: {"use": "sig", "alg": "RS256"})


def without(claims: Claims, *names: str, **changes: object) -> Claims:
    return {name: claims[name] for name in claims if name not in names} | changes


_KEYCLOAK = {
    "jti": "onrtac:0c8f8f2e-0f7d-4c0b-9f3a-1f2f0a5c9d7e",
    "iss": ISSUER,
    "aud": [AUDIENCE, "account"],
    "sub": _USER,
    "typ": "Bearer",
    "azp": "shop",
    "sid": "5d5a2c1e-6f58-4e0e-8a7c-1fbb6d4f6b43",
    "acr": "1",
    "allowed-origins": ["https://shop.example"],
    "realm_access": {"roles": ["offline_access", "uma_authorization"]},
    "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
    "scope": "openid profile email orders:read",
    "email_verified": True,
    "preferred_username": "alice",
}
_AUTH0 = {
    "iss": ISSUER,
    "sub": "auth0|507f1f77bcf86cd799439011",
    "aud": [AUDIENCE, "https://TENANT.eu.auth0.com/userinfo"],
    "azp": "my_client_id",
    "scope": "openid profile orders:read",
    "permissions": ["orders:read"],
}
_ENTRA_2 = {
    "aud": AUDIENCE,
    "iss": ISSUER,
    "nbf": ...,
    "aio": "AXQAi/8TAAAA…",
    "azp": _APP,
    "azpacr": "0",
    "name": "Alice",
    "oid": _USER,
    "preferred_username": "alice@shop.example",
    "rh": "I",
    "scp": "Orders.Read User.Read",
    "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    "tid": _TENANT,
    "uti": "fqiBqXLPj0eQa82S-IYFAA",
    "ver": "2.0",
}
_ENTRA_1 = without(
    _ENTRA_2,
    *("azp", "azpacr", "preferred_username"),
    appid=_APP,
    appidacr="0",
    idp=ISSUER,
    scp="Orders.Read",
    unique_name="alice@shop.example",
    ver="1.0",
)
_ENTRA_HEADER = {"typ": "JWT", "x5t": "i6lGk3FZzxRcUb2C3nEQ7syHJlY"}
_ENTRA_JWK = {
    "use": "sig",
    "x5t": "i6lGk3FZzxRcUb2C3nEQ7syHJlY",
    "x5c": ["MIIC/TCC"],
    "issuer": "x",
}
_OKTA = {
    "ver": 1,
    "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    "iss": ISSUER,
    "aud": AUDIENCE,
    "cid": "0oa8d92f0zwLvZ0kH0h7",
    "uid": "00uid4BxXw6I6TV4m0g3",
    "scp": ["openid", "orders:read"],
    "auth_time": 1_700_000_000,
    "sub": "alice@shop.example",
}
_COGNITO = {
    "sub": _USER,
    "device_key": "eu-central-1_example",
    "cognito:groups": ["testgroup"],
    "iss": ISSUER,
    "version": 2,
    "client_id": AUDIENCE,
    "origin_jti": "0d2b1f4c-6d2e-4a1e-8a77-5dbe3dc6a111",
    "event_id": "64f513be-32db-42b0-b78e-b02127b4f463",
    "token_use": "access",
    "scope": "https://orders.example/orders:read openid aws.cognito.signin.user.admin",
    "auth_time": 1_700_000_000,
    "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "username": "alice",
}
_GOOGLE = {
    "iss": ISSUER,
    "azp": "103547991597142817347",
    "aud": AUDIENCE,
    "sub": "103547991597142817347",
    "email": "worker@shop.iam.gserviceaccount.com",
    "email_verified": True,
}
_ZITADEL = {
    "iss": ISSUER,
    "sub": "169303333333333333",
    "aud": ["170086824411201793@shop", AUDIENCE],
    "jti": "170086824411201794",
    "nbf": ...,
    "client_id": "170086824411201793@shop",
    "urn:zitadel:iam:org:project:roles": {
        "orders:read": {"169303333333333334": "shop.zitadel.cloud"}
    },
}
_SPRING = {
    "sub": "alice",
    "aud": AUDIENCE,
    "nbf": ...,
    "scope": ["openid", "orders:read"],
    "iss": ISSUER,
    "jti": "e2ad3b4c-8a0c-4f6b-bd4e-5f0f5b7a9a11",
}
_KUBERNETES = {
    "aud": [AUDIENCE],
    "iss": ISSUER,
    "jti": "ed2c1a5b-4f9a-4f53-9d37-4a4f4f3ecb3e",
    "kubernetes.io": {
        "namespace": "shop",
        "node": {"name": "node-1", "uid": _USER},
        "pod": {"name": "worker-7c9", "uid": _USER},
        "serviceaccount": {"name": "worker", "uid": _USER},
    },
    "nbf": ...,
    "sub": "system:serviceaccount:shop:worker",
}
_PLAIN = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "alice",
    "client_id": "shop",
    "scope": "orders:read",
    "jti": "1",
}
_ENTRA_ID_TOKEN = ("scp", "azp", "azpacr", "appid", "appidacr")

SHAPES = {
    "Keycloak": Shape(
        _KEYCLOAK,
        without(_KEYCLOAK, "scope"),
        without(_KEYCLOAK, "scope", typ="ID", aud=AUDIENCE, at_hash="x", nonce="y"),
    ),
    "Auth0": Shape(
        _AUTH0,
        without(_AUTH0, "scope", "permissions"),
        without(_AUTH0, "scope", "permissions", "azp", at_hash="x", nonce="y"),
    ),
    "Microsoft Entra": Shape(
        _ENTRA_2,
        without(_ENTRA_2, scp="User.Read"),
        without(_ENTRA_2, *_ENTRA_ID_TOKEN),
        _ENTRA_HEADER,
        _ENTRA_JWK,
    ),
    "Microsoft Entra, version 1": Shape(
        _ENTRA_1,
        without(_ENTRA_1, "scp"),
        without(_ENTRA_1, *_ENTRA_ID_TOKEN),
        _ENTRA_HEADER,
        _ENTRA_JWK,
    ),
    "Okta": Shape(
        _OKTA,
        without(_OKTA, scp=["openid"]),
        without(_OKTA, "scp", "cid", "uid", amr=["pwd"], idp="00o1"),
        {},
    ),
    "Amazon Cognito": Shape(
        _COGNITO,
        without(_COGNITO, scope="openid orders:read"),
        without(_COGNITO, "scope", "client_id", token_use="id", aud=AUDIENCE, at_hash="x"),
        {},
    ),
    "Google": Shape(_GOOGLE, without(_GOOGLE, scope=""), None),
    "Google, both spellings": Shape(_GOOGLE, without(_GOOGLE, scope=[]), None),
    "Zitadel": Shape(
        _ZITADEL,
        without(_ZITADEL, "urn:zitadel:iam:org:project:roles"),
        without(_ZITADEL, "jti", azp="shop", amr=["pwd"], auth_time=1, at_hash="x"),
    ),
    "Spring Authorization Server": Shape(
        _SPRING,
        without(_SPRING, scope=["openid"]),
        without(_SPRING, "scope", azp="shop", auth_time=1, sid="x", nonce="y"),
        {},
        {},
    ),
    "Kubernetes service accounts": Shape(
        _KUBERNETES, without(_KUBERNETES, scope={"orders": 5}), None, {}
    ),
    "Any other issuer": Shape(
        _PLAIN,
        without(_PLAIN, scope=5),
        without(_PLAIN, "scope", "client_id", at_hash="x"),
        {"typ": "at+jwt"},
        {},
    ),
}
"""By the name of the section of `docs/identity-provider.md`, and of its block."""
