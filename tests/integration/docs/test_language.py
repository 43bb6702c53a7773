"""The language of code, documents and tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

BETTER = {
    "told": "reported, returned",
    "anew": "again",
    "whom": "the user, the caller",
    "to be had": "available",
    "good for": "grants, valid for",
    "believe": "accept",
    "believed": "accepted",
    "believes": "accepts",
    "stand back": "yield",
    "stands back": "yields",
    "mend": "fix",
    "mended": "fixed",
    "at once": "immediately, together, in parallel",
}
"""Words, and what to write instead."""

BETTER_OUTSIDE_TESTS = {
    "nobody": "no caller, no user, nothing",
    "somebody": "a user, a client",
    "everybody": "all users, every client",
    "whoever": "the caller, the operator, anyone who",
    "goodbye": "termination",
}
"""Words that tests may use, as names of users for example."""

MAX_WORDS = 12
"""Words in the first line of a docstring, without references such as (RFC 9110, section 4)."""

REFERENCE = re.compile(r" ?\((RFC|NIST)[^)]*\)")
FOLDERS = ("src", "bench", "examples", "tools", "tests")
FILES = sorted(
    [
        *(file for name in FOLDERS[:-1] for file in (ROOT / name).rglob("*.py")),
        *(file for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        ROOT / "Makefile",
    ]
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_uses_the_words_of_the_field(file: Path) -> None:
    better = BETTER if file.is_relative_to(ROOT / "tests") else BETTER | BETTER_OUTSIDE_TESTS
    words = re.compile(rf"\b({'|'.join(better)})\b", re.IGNORECASE)
    text = re.sub(r"\s+", " ", file.read_text())
    found = {match[1].lower(): text[match.start() - 40 :][:90] for match in words.finditer(text)}
    assert {word: (better[word], where) for word, where in found.items()} == {}


def test_docstrings_begin_with_a_short_line() -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    lines = [
        (str(file.relative_to(ROOT)), docstring.splitlines()[0])
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, documented) and (docstring := ast.get_docstring(node))
    ]
    assert len(lines) > 1_000
    too_long = [line for line in lines if len(REFERENCE.sub("", line[1]).split()) > MAX_WORDS]
    assert too_long == []


def test_glossary_is_sorted_and_has_no_term_twice() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text()
    terms = re.findall(r"^\| (?!term)([a-z].*?) \|", page, re.MULTILINE)
    assert terms == sorted(set(terms))


NO_SUBJECT = re.compile(
    "test_(a|an|the|what|who|whoever|whom|whose|nobody|no|nothing|none|neither|where|when|of|one|"
    "those|these|that|this|which|without|with|to|from|after|before|until|while|within|at|in|on|"
    "under|beyond|past|only|everybody|anybody|somebody|someone|anything|everything|everywhere|so|"
    "if|by|for|as|it|is|there)_"
)
"""How the name of a test does not begin: it is `test_<subject>_<behaviour>[_when_<condition>]`."""


def test_names_of_tests_begin_with_their_subject() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [
        (str(file.relative_to(ROOT)), node.name)
        for file in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, functions)
    ]
    assert [(file, name) for file, name in names if NO_SUBJECT.match(name)] == []
