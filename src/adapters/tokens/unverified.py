"""What tokens say of themselves before they are verified, which proves nothing."""

from ordergate.adapters.tokens.jws import MAX_TOKEN_LENGTH
from ordergate.adapters.tokens.keys.encoding import decode_base64url, parse_json_object
from ordergate.application.errors import InvalidToken

_MAX_NAME_LENGTH = 255
"""The maximum of quoted characters of an unverified name."""


def read_key_id(token: str) -> str | None:
    """Return the `kid` of an unverified token; never raise.

    The result is `None` for a token without a `kid` and for any other text.
    """
    try:
        header = parse_json_object(decode_base64url(token[:MAX_TOKEN_LENGTH].partition(".")[0]))
    except ValueError:
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def read_unverified_issuer(token: str) -> str | None:
    """Return the `iss` of an unverified token; never raise."""
    if len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        payload = parse_json_object(decode_base64url(token.split(".", 2)[1]))
    except (ValueError, IndexError):
        return None
    issuer = payload.get("iss")
    return issuer if isinstance(issuer, str) else None


def name_token(error: InvalidToken, token: str) -> InvalidToken:
    """Return the error with the token's shortened `kid` and `iss`."""
    kid, issuer = read_key_id(token), read_unverified_issuer(token)
    return InvalidToken(
        str(error),
        kid=kid and kid[:_MAX_NAME_LENGTH],
        issuer=issuer and issuer[:_MAX_NAME_LENGTH],
    )
