"""A strict reader of signed tokens: JWS in compact serialization (RFC 7515)."""

from typing import NamedTuple

from ordergate.adapters.tokens.keys.encoding import decode_base64url, parse_json_object
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.application.errors import InvalidToken

MAX_TOKEN_LENGTH = 65_536
"""The maximum in characters, which is that of a request's head; a longer token is refused unread.
"""

_PARTS = 3
_FORBIDDEN_HEADER_PARAMETERS = frozenset({"crit", "b64", "jwk", "jku", "x5c", "x5u"})
"""Header parameters that bring a key or change how a token is read."""


class TokenParts(NamedTuple):
    """The decoded parts of a token, and its signed bytes."""

    header: dict[str, object]
    payload: bytes
    signature: bytes
    kid: str | None
    signed: bytes


def read_jws(token: str | bytes, keys: KeySet) -> tuple[dict[str, object], bytes]:
    """Return the header and the payload of a validly signed token.

    Any other text raises `InvalidToken` and no other error. The algorithm is the key's. A header
    that names another algorithm or brings its own key is refused (RFC 8725, sections 2.1, 3.1 and
    3.10). The caller checks the claims.
    """
    header, payload, signature, kid, signed = split_token(token)
    candidates = keys.candidates(header.get("alg"), kid)
    if any(key.verify(str(header["alg"]), signed, signature) for key in candidates):
        return header, payload
    if candidates:
        raise InvalidToken("the signature is invalid")
    if kid is not None and all(key.kid != kid for key in keys.keys):
        raise InvalidToken("kid names no known key")
    raise InvalidToken("alg is that of no known key")


def split_token(token: str | bytes) -> TokenParts:
    """Decode the parts of a token strictly.

    Raises `InvalidToken`. The signature is not checked, so the result proves nothing.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken(f"longer than {MAX_TOKEN_LENGTH} characters")
    try:
        return _decode_parts(token if isinstance(token, str) else token.decode("ascii"))
    except ValueError as error:
        raise InvalidToken(f"malformed: {error}") from None


def _decode_parts(token: str) -> TokenParts:
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise InvalidToken("not three parts")
    header = parse_json_object(decode_base64url(parts[0]))
    payload, signature = decode_base64url(parts[1]), decode_base64url(parts[2])
    if not _FORBIDDEN_HEADER_PARAMETERS.isdisjoint(header):
        raise InvalidToken("the header brings a key or changes how it is read")
    kid = header.get("kid")
    if "kid" in header and not isinstance(kid, str):
        raise InvalidToken("kid is not text")
    signed = token.rpartition(".")[0].encode("ascii")
    return TokenParts(header, payload, signature, kid if isinstance(kid, str) else None, signed)
