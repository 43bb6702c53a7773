"""Traces of copying, quoting and line ends in values, and their descriptions."""

import re
import unicodedata

_CONTROLS = {"\t": "tab", "\n": "newline", "\r": "carriage return", "\0": "NUL"}
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_INVISIBLE_CATEGORIES = _CONTROL_CATEGORIES | {"Zs", "Cf"}
_SHELL_ONLY = re.compile(r"~[^/]*(?=/|$)|\$[A-Za-z_]\w*|\$\{[^}]*\}|\$\(")


def is_blank(text: str) -> bool:
    """Return whether the text is empty or only space."""
    return all(unicodedata.category(character) in _INVISIBLE_CATEGORIES for character in text)


def find_text_flaw(text: str) -> str | None:
    """Name a control character, surrounding space or quotation marks."""
    for character in text:
        if unicodedata.category(character) in _CONTROL_CATEGORIES:
            return f"contains {_name_character(character)}"
    for character, end in ((text[:1], "begins"), (text[-1:], "ends")):
        if character and unicodedata.category(character) in _INVISIBLE_CATEGORIES:
            return f"{end} with {_name_character(character)}"
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        return f"is between quotation marks (U+{ord(text[0]):04X}); leave them out"
    return None


def find_path_flaw(text: str) -> str | None:
    """Name an unintended part of a path."""
    if is_blank(text):
        return "is blank"
    if flaw := find_text_flaw(text):
        return flaw
    for character, end in ((text[0], "begins"), (text[-1], "ends")):
        if character in _QUOTES:
            return f"{end} with {_name_character(character)}"
    if _SHELL_ONLY.match(text):
        name = _name_character(text[0])
        return f"begins with {name}, which only a shell replaces; write the whole path"
    return None


def _name_character(character: str) -> str:
    """Return a character's name and code point: `a carriage return (U+000D)`."""
    name = _CONTROLS.get(character) or unicodedata.name(character, "control character").lower()
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} (U+{ord(character):04X})"
