"""Lines of the log as JSON."""

import json
from typing import Any


def read_line(text: str) -> dict[str, Any]:
    """Return the members of a line without its time in UTC."""
    line: dict[str, Any] = json.loads(text)
    assert line.pop("timestamp").endswith("Z")
    return line
