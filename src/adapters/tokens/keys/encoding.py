"""Strict readers of base64url (RFC 7515, section 2) and JSON."""

import base64
import json
import re
from typing import NoReturn

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


def encode_base64url(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Read base64url in its canonical form.

    It has no padding, no white space, and unused bits of zero. Raises ValueError for any other
    text.
    """
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def parse_json_object(data: bytes) -> dict[str, object]:
    """Read a JSON object (RFC 8259) without duplicate members.

    Raises ValueError for any other bytes, also for NaN, very long numbers and deep nesting.
    """
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_refuse_repeated, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _refuse_repeated(members: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(members)
    if len(value) < len(members):
        raise ValueError("a member is named twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
