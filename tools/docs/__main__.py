"""Collect the pages of the documentation site in a folder.

    python -m tools.docs FOLDER

The folder has the layout of the repository, so the links between pages work as they are. A linked
file of another kind, such as a Python file, becomes a page. The API reference is made from the
OpenAPI document of the application.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tools.docs.reference import Reference

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
_COPIED = {".css", ".json", ".png", ".svg"}
_LANGUAGES = {".py": "python", ".toml": "toml"}


def main(folder: Path) -> None:
    """Write the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        _write(folder, page.relative_to(ROOT), _page(page, folder))
    for file in (ROOT / "docs").rglob("*"):
        if file.suffix in _COPIED:
            _copy(folder, file.relative_to(ROOT))
    for setting in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        del os.environ[setting]  # the reference is the same everywhere
    app = create_app(Container(settings=Settings()))
    reference = Reference(app.openapi())
    _write(folder, Path("docs", "reference", "operations.md"), reference.operations())
    _write(folder, Path("docs", "reference", "schemas.md"), reference.schemas())


def _page(page: Path, folder: Path) -> str:
    """Return a page whose links to code lead to the code's pages."""

    def link(match: re.Match[str]) -> str:
        file = (page.parent / match[1]).resolve()
        if not file.is_file():
            sys.exit(f"{page.relative_to(ROOT)} links to {match[1]}, which is missing")
        if file.suffix == ".md":
            return match[1]
        if file.suffix in _COPIED:
            _copy(folder, file.relative_to(ROOT))
            return match[1]
        return f"{match[1]}{_code_page(file.relative_to(ROOT), folder)}"

    return _LINK.sub(link, page.read_text(encoding="utf-8"))


def _code_page(file: Path, folder: Path) -> str:
    """Write the page of another file; return what its name adds."""
    language = _LANGUAGES.get(file.suffix, "text")
    code = (ROOT / file).read_text(encoding="utf-8")
    text = f"---\nsearch:\n  exclude: true\n---\n\n# {file}\n\n~~~~ {language}\n{code}~~~~\n"
    _write(folder, Path(f"{file}.md"), text)
    return ".md"


def _write(folder: Path, name: Path, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def _copy(folder: Path, name: Path) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / name, folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
