"""Modules and commands in pages of the documentation."""

import re

DOCUMENTED_URL = "http://127.0.0.1:8000"
MODULE = re.compile(r"^```(?:ts|js|python)\n(?://|#) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
"""A code block whose first line is the name of its file."""
