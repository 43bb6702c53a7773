"""Common parts of OAuth2 endpoints: forms, clients, scopes (RFC 6749)."""

import base64
import re
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import unquote_plus, unquote_to_bytes

from fastapi import Request

from ordergate.application.errors import InvalidScope
from ordergate.entrypoints.http.problems.problem import ProblemError, oauth_problem
from ordergate.entrypoints.http.requests.fields import is_encoded, read_field_values

OAUTH_PATHS = frozenset({"/login", "/revoke"})
"""The addresses whose errors are `application/json` (RFC 6749, 5.2, and RFC 7009, 2.2.1)."""

FORM = "application/x-www-form-urlencoded"
FIRST_PARTY = "first-party"
"""The `client_id` of clients that send none."""

_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,255}")
_PARAMETERS = frozenset(
    {
        "client_id",
        "client_secret",
        "grant_type",
        "password",
        "refresh_token",
        "scope",
        "token",
        "token_type_hint",
        "username",
    }
)
"""The parameters of OAuth2 that `/login` and `/revoke` read (RFC 6749, RFC 7009)."""
_MAX_FIELDS = 1_000
_MAX_FORM_BYTES = 65_536
"""Enough for the longest password and name with every byte percent-encoded."""
_MAX_CREDENTIALS = 2_048
"""Enough for the longest `client_id`, percent-encoded and in Base64."""
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")

INVALID_CLIENT = oauth_problem(
    401,
    "invalid_client",
    "Clients have no secret here; leave the client secret empty.",
    headers={"WWW-Authenticate": 'Basic realm="ordergate"'},
)
NOT_A_FORM = oauth_problem(415, "invalid_request", f"Send the form as {FORM}.")
ENCODED_FORM = oauth_problem(
    415,
    "invalid_request",
    "Send the form without Content-Encoding.",
    headers={"Accept-Encoding": "identity"},
)


def invalid_request(detail: str) -> ProblemError:
    """Make the problem of a malformed request."""
    return ProblemError(oauth_problem(400, "invalid_request", detail))


def missing_field(name: str) -> ProblemError:
    """Make the problem of a missing form field."""
    return invalid_request(f"The form field {name} is missing.")


async def read_form(request: Request) -> dict[str, str]:
    """Read the form fields as the URL Standard says (section 5.1).

    Raises `ProblemError` for another media type, invalid UTF-8, and a repeated parameter of OAuth2
    (RFC 6749, section 3.2). Other fields may be repeated.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise ProblemError(NOT_A_FORM)
    if is_encoded(request):
        raise ProblemError(ENCODED_FORM)
    body = await request.body()
    if len(body) > _MAX_FORM_BYTES:
        raise invalid_request(f"A form must have at most {_MAX_FORM_BYTES} bytes.")
    if body.count(b"&") >= _MAX_FIELDS:
        raise invalid_request(f"A form must have at most {_MAX_FIELDS} fields.")
    form: dict[str, str] = {}
    try:
        body.decode()
        for encoded in filter(None, body.split(b"&")):
            name, value = _read_field(encoded)
            if name in form and name in _PARAMETERS:
                raise invalid_request(f"The form field {name} is repeated; send it once.")
            form[name] = value
    except ValueError:
        raise invalid_request(f"The body is not a well-formed {FORM} in UTF-8.") from None
    return form


def _read_field(encoded: bytes) -> tuple[str, str]:
    """Read a name and a value.

    The value is empty if there is no `=`.

    urllib's reader takes up to 20 times as long. Invalid UTF-8 raises `ValueError`: the Standard's
    replacement characters would make different passwords equal.
    """
    name, _, value = (
        unquote_to_bytes(part).decode() for part in encoded.replace(b"+", b" ").partition(b"=")
    )
    return name, value


def read_client_id(request: Request, form: dict[str, str]) -> str | None:
    """Return the public client, named by the form or HTTP Basic (RFC 6749, 2.3.1)."""
    given = read_field_values(request, b"authorization")
    if len(given) > 1:
        raise invalid_request("The header Authorization is repeated; send it once.")
    scheme, _, credentials = (given[0] if given else "").partition(" ")
    by_header, secret = _read_basic(credentials) if scheme.lower() == "basic" else ("", "")
    if secret or form.get("client_secret"):
        raise ProblemError(INVALID_CLIENT)
    by_form = form.get("client_id", "")
    if by_header and by_form and by_header != by_form:
        raise invalid_request("The form and the header Authorization name different clients.")
    client_id = by_header or by_form
    if client_id and not _CLIENT_ID.fullmatch(client_id):
        raise invalid_request("A client_id must have 1 to 255 printable ASCII characters.")
    return client_id or None


def read_scope(form: dict[str, str], known: Collection[str]) -> frozenset[str] | None:
    """Read `scope`; `None` if it is missing. Raises `InvalidScope` for unknown ones."""
    asked = form.get("scope", "")
    if not asked:
        return None
    words = frozenset(asked.split(" "))
    if not words.issubset(known):
        raise InvalidScope(known)
    return words


def _read_basic(credentials: str) -> tuple[str, str]:
    if len(credentials) <= _MAX_CREDENTIALS:
        with suppress(ValueError):
            text = base64.b64decode(credentials.strip(" "), validate=True).decode()
            client_id, colon, secret = text.partition(":")
            if colon and not _STRAY_PERCENT.search(text):
                return unquote_plus(client_id, errors="strict"), unquote_plus(
                    secret, errors="strict"
                )
    raise invalid_request(
        "The header Authorization must have Basic credentials: a client_id and an empty secret."
    )
