"""The size of files and folders, and repeated lines."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SRC = ROOT / "src"
FILES = sorted(SRC.rglob("*.py"))
FOLDERS = sorted(
    {
        file.parent
        for name in ("src", "bench", "examples", "tools")
        for file in (ROOT / name).rglob("*.py")
    }
)

MAX_LINES = 250
MAX_FILES = 12
REPEATED = 6
"""So many equal lines in two places are a repetition."""

CLOSING = frozenset({")", "]", "}", "),", "],", "},"})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_file_has_at_most_250_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_folder_has_at_most_12_files(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MAX_FILES


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield numbers and texts of lines except imports, comments and brackets."""
    imports = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for number, line in enumerate(text.splitlines(), 1):
        stripped = " ".join(line.split())
        if stripped and number not in imports and stripped not in CLOSING and stripped[0] != "#":
            yield number, stripped


def repetitions(texts: dict[str, str]) -> list[list[str]]:
    """Return the places of repeated runs of `REPEATED` equal lines."""
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, text in texts.items():
        lines = list(code_lines(text))
        for start in range(len(lines) - REPEATED + 1):
            run = lines[start : start + REPEATED]
            places[tuple(line for _, line in run)].append(f"{name}:{run[0][0]}")
    return [found for found in places.values() if len(found) > 1]


def test_src_repeats_no_six_lines() -> None:
    assert not repetitions({str(file.relative_to(SRC)): file.read_text() for file in FILES})


def test_repetition_is_found_between_files_and_within_one() -> None:
    run = "".join(f"x{i} = {i}\n" for i in range(REPEATED))
    spaced = run.replace("\n", "\n\n# a comment\n")
    assert repetitions({"a.py": run, "b.py": f"import os\n{spaced}"}) == [["a.py:1", "b.py:2"]]
    assert repetitions({"a.py": f"{run}y = 0\n{run}"}) == [["a.py:1", "a.py:8"]]
    assert not repetitions({"a.py": run, "b.py": run.replace("5", "6")})


def test_repetition_excepts_imports() -> None:
    imports = "".join(f"import x{i}\n" for i in range(REPEATED))
    assert not repetitions({"a.py": imports, "b.py": imports})
