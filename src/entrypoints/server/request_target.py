"""Request targets other than plain paths."""

import re

from ordergate.entrypoints.http.requests.request_heads import is_authority

_ABSOLUTE_FORM = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)


def check_target(target: bytes) -> None:
    """Raise `ValueError` unless the target is `*` or in absolute form.

    The absolute form has an authority and no fragment (RFC 9112, section 3.2). User information is
    refused, as RFC 9110, section 4.2.4, recommends.
    """
    absolute = _ABSOLUTE_FORM.match(target)
    if b"#" in target or not (target == b"*" or (absolute and is_authority(absolute[1]))):
        raise ValueError
