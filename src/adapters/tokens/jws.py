"""A strict reader of signed tokens: JWS in compact serialization (RFC 7515)."""

from ordergate.adapters.tokens.keys.encoding import decode_base64url, parse_json_object
from ordergate.adapters.tokens.keys.key_set import KeySet
from ordergate.application.errors import InvalidToken

MAX_TOKEN_LENGTH = 8192
"""The maximum in characters; a longer token is refused unread."""

_FORBIDDEN_HEADER_PARAMETERS = frozenset({"crit", "b64", "jwk", "jku", "x5c", "x5u"})
"""Header parameters that bring a key or change how a token is read."""


def read_jws(token: str | bytes, keys: KeySet) -> tuple[dict[str, object], bytes]:
    """Return the header and the payload of a validly signed token.

    Any other text raises `InvalidToken` and no other error. The algorithm is the key's. A header
    that names another algorithm or brings its own key is refused (RFC 8725, sections 2.1, 3.1 and
    3.10). The caller checks the claims.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken(f"longer than {MAX_TOKEN_LENGTH} characters")
    try:
        return _read(token if isinstance(token, str) else token.decode("ascii"), keys)
    except ValueError as error:
        raise InvalidToken(f"malformed: {error}") from None


def key_id(token: str) -> str | None:
    """Return the `kid` of an unverified token; never raise.

    The result is `None` for a token without a `kid` and for any other text.
    """
    try:
        header = parse_json_object(decode_base64url(token[:MAX_TOKEN_LENGTH].partition(".")[0]))
    except ValueError:
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def unverified_issuer(token: str) -> str | None:
    """Return the `iss` of an unverified token; never raise."""
    if len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        payload = parse_json_object(decode_base64url(token.split(".", 2)[1]))
    except (ValueError, IndexError):
        return None
    issuer = payload.get("iss")
    return issuer if isinstance(issuer, str) else None


def _read(token: str, keys: KeySet) -> tuple[dict[str, object], bytes]:
    try:
        header_part, payload_part, signature_part = token.split(".")
    except ValueError:
        raise InvalidToken("not three parts") from None
    header = parse_json_object(decode_base64url(header_part))
    payload, signature = decode_base64url(payload_part), decode_base64url(signature_part)
    if not _FORBIDDEN_HEADER_PARAMETERS.isdisjoint(header):
        raise InvalidToken("the header brings a key or changes how it is read")
    kid = header.get("kid")
    if "kid" in header and not isinstance(kid, str):
        raise InvalidToken("kid is not text")
    signed = token[: len(header_part) + 1 + len(payload_part)].encode("ascii")
    algorithm = header.get("alg")
    for key in keys.candidates(algorithm, kid if isinstance(kid, str) else None):
        if key.verify(str(algorithm), signed, signature):
            return header, payload
    raise InvalidToken("no known key has signed it")
