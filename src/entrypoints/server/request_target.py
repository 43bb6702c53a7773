"""The target of a request line that is no plain path."""

import re

from ordergate.entrypoints.http.requests.request_heads import is_authority

_ABSOLUTE_FORM = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)


def check_target(target: bytes) -> None:
    """Raise `ValueError` unless it is in absolute form with an authority, or `*`.

    RFC 9112, section 3.2: a target has no fragment; user information is refused as RFC 9110,
    section 4.2.4, recommends.
    """
    absolute = _ABSOLUTE_FORM.match(target)
    if b"#" in target or not (target == b"*" or (absolute and is_authority(absolute[1]))):
        raise ValueError
