"""The parts of `make dist`; `make dist-check` installs a release."""

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tools.dist import SOURCES, copy_sources, normalize, tag_flaw

CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-11-29\n\n### Added\n"


def pack(file: Path, *, time: int, owner: str, mode: int, names: tuple[str, ...]) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.uname, entry.uid, entry.mode = time, owner, len(owner), mode
            entry.type = tarfile.REGTYPE if "." in name else tarfile.DIRTYPE
            entry.size = len(name) if entry.isfile() else 0
            archive.addfile(entry, BytesIO(name.encode()))


def test_sdists_of_two_machines_have_the_same_bytes(tmp_path: Path) -> None:
    files = (tmp_path / "one.tar.gz", tmp_path / "two.tar.gz")
    pack(files[0], time=1, owner="root", mode=0o600, names=("p", "p/a.py", "p/b.py"))
    pack(files[1], time=2, owner="ci", mode=0o777, names=("p/b.py", "p/a.py", "p"))
    for file in files:
        normalize(file, 1_700_000_000)
    assert files[0].read_bytes() == files[1].read_bytes()
    with tarfile.open(files[0]) as archive:
        found = {
            each.name: (
                each.mode,
                each.mtime,
                each.uname,
                (archive.extractfile(each) or BytesIO()).read(),
            )
            for each in archive
        }
    assert found == {
        "p": (0o755, 1_700_000_000, "", b""),
        "p/a.py": (0o644, 1_700_000_000, "", b"p/a.py"),
        "p/b.py": (0o644, 1_700_000_000, "", b"p/b.py"),
    }


def test_sdist_has_the_files_of_a_deployment_without_secrets(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "source"
    made = ("src/m.py", "deploy/container/compose.yaml", "deploy/container/secrets/database-url")
    for name in (*SOURCES, *made):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    copy_sources(root, folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*SOURCES, *made[:2]}


@pytest.mark.parametrize(
    ("version", "tags", "flaw"),
    [
        ("9.9.9", [], None),
        ("9.9.9", ["nightly"], None),
        ("1.2.3", ["nightly", "v1.2.3"], None),
        (
            "1.2.4",
            ["v1.2.3"],
            "the commit has the tag v1.2.3, and pyproject.toml the version 1.2.4",
        ),
        ("1.2.4", ["v1.2.4"], "CHANGELOG.md has no section `## 1.2.4 - YYYY-MM-DD`"),
    ],
)
def test_tag_must_agree_with_version_and_changelog(
    version: str, tags: list[str], flaw: str | None
) -> None:
    assert tag_flaw(version, tags, CHANGELOG) == flaw
