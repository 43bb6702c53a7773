"""The header `Idempotency-Key` (a draft of the IETF HTTPAPI working group)."""

import re
from typing import Annotated

from fastapi import Depends, Request

from ordergate.entrypoints.http.openapi.responses import header_parameter
from ordergate.entrypoints.http.problems.problem import ProblemError, invalid_header
from ordergate.entrypoints.http.requests.fields import read_field_values

_NAME = "Idempotency-Key"
_MAX_LENGTH = 255
_STRING = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*+"')
_BARE = re.compile(r"[!#-+\--~]++")
_ESCAPED = re.compile(r"\\(.)")

MALFORMED_KEY = invalid_header(
    _NAME,
    f"must be sent once, as 1 to {_MAX_LENGTH} printable ASCII characters in quotes, such as"
    ' "8e03978e" (RFC 9651, section 3.3.3), or without quotes if none is a space, a comma or a'
    " quote",
)


def read_key(values: list[str]) -> str | None:
    """Read a key: a Structured Field String, or bare characters.

    Many clients send the bare form; both forms are one key. Raises a problem 400 for any other
    value, and for several fields.
    """
    if not values:
        return None
    (value, *more) = values
    if len(value) > 2 * _MAX_LENGTH + 2:  # with each character escaped, and quotes
        key = ""
    elif _STRING.fullmatch(value):
        key = _ESCAPED.sub(r"\1", value[1:-1])
    else:
        key = value if _BARE.fullmatch(value) else ""
    if more or not 0 < len(key) <= _MAX_LENGTH:
        raise ProblemError(MALFORMED_KEY)
    return key


async def _read_key(request: Request) -> str | None:
    return read_key(read_field_values(request, b"idempotency-key"))


KEY_HEADER = {
    "parameters": [
        header_parameter(
            _NAME,
            "Your name for this order: a repeat with the same key and order gets the first answer"
            " and places nothing.",
            '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
            pattern=r'^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-+\--~]{1,255})$',
        )
    ]
}
"""The documentation of `Key`, as `openapi_extra` of a route."""

Key = Annotated[str | None, Depends(_read_key)]
"""The key without quotes and escapes; `None` if it is missing."""
