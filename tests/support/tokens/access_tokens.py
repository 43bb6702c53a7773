"""Access tokens of one issuer: good claims, signed."""

import json
from typing import Any

from tests.support.doubles import SettableClock
from tests.support.tokens.jose import sign

NOW = int(SettableClock().now().timestamp())


CLAIMS: dict[str, object] = {
    "iss": "https://orders.example",
    "aud": "orders",
    "sub": "42",
    "client_id": "shop",
    "scope": "orders:read",
    "iat": NOW,
    "exp": NOW + 900,
    "jti": "one",
}


def token(algorithm: str = "HS256", *, typ: object = "at+jwt", **claims: object) -> str:
    """Sign the valid claims with these changes.

    A claim that is `...` is left out.
    """
    members = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    header: dict[str, Any] = {} if typ is ... else {"typ": typ}
    return sign(algorithm, json.dumps(members).encode(), **header)
