"""Build a release: sdist, wheel, lock, SBOM and their checksums.

    .venv-release/bin/python tools/dist.py dist

A commit gives the same files at every build. Their times are SOURCE_DATE_EPOCH, which is the time
of the commit unless it is set. Without it, changes that are not committed are refused.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
LOCK = "requirements.lock"
SUMS = "SHA256SUMS"
EPOCH = "SOURCE_DATE_EPOCH"
DEVELOPMENT_LOCK = "requirements-dev.lock"
"""Has the versions of the extras, too."""
SOURCES = (
    *("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"),
    *(LOCK, DEVELOPMENT_LOCK),
)
"""What an sdist is made of, with the folders src and deploy."""


def main(folder: Path) -> None:
    """Write the release, replacing that of an earlier build."""
    os.environ[EPOCH] = os.environ.get(EPOCH) or read_time_of_commit()
    os.umask(0o022)  # the files of a wheel have the modes of the sources
    version = tomllib.loads(Path(ROOT, "pyproject.toml").read_text("utf-8"))["project"]["version"]
    tags = _git("tag", "--points-at", "HEAD").split() if Path(ROOT, ".git").exists() else []
    if flaw := tag_flaw(version, tags, Path(ROOT, "CHANGELOG.md").read_text("utf-8")):
        sys.exit(flaw)
    if folder.exists():
        if not Path(folder, SUMS).exists():
            sys.exit(f"{folder} is no earlier build; name a new folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with TemporaryDirectory() as temporary:
        source = Path(temporary, "source")
        copy_sources(ROOT, source)
        _run("build", "--no-isolation", "--sdist", "--outdir", folder, source)
        [sdist] = folder.iterdir()
        normalize(sdist, int(os.environ[EPOCH]))
        # From the sdist, so both have the same files, and a check of the wheel covers the sdist.
        _run("pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, sdist)
    shutil.copyfile(ROOT / LOCK, folder / LOCK)
    sbom = ("--output-reproducible", "--output-file", folder / f"ordergate-{version}.cdx.json")
    _run("cyclonedx_py", "requirements", "--pyproject", ROOT / "pyproject.toml", *sbom, ROOT / LOCK)
    sums = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
    ]
    Path(folder, SUMS).write_text("".join(sums), encoding="utf-8")


def read_time_of_commit() -> str:
    """Return the time of the commit that is checked out."""
    if not Path(ROOT, ".git").exists():
        sys.exit(f"this is no clone: run {EPOCH}=$(date +%s) make dist, or name another time")
    if _git("status", "--porcelain"):
        sys.exit(f"there are changes that are not committed; commit them, or set {EPOCH}")
    return _git("log", "-1", "--format=%ct")


def tag_flaw(version: str, tags: Collection[str], changelog: str) -> str | None:
    """Say what is wrong with the tags of a release."""
    versions = [tag for tag in tags if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    if versions and versions != [f"v{version}"]:
        return f"the commit has the tag {versions[0]}, and pyproject.toml the version {version}"
    dated = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    if versions and not re.search(dated, changelog, re.MULTILINE):
        return f"CHANGELOG.md has no section `## {version} - YYYY-MM-DD`"
    return None


def normalize(sdist: Path, time: int) -> None:
    """Remove times, owners and modes of this machine from an sdist."""
    with tarfile.open(sdist) as packed:
        entries = [(each, packed.extractfile(each)) for each in packed]
        contents = {each: file.read() if file else b"" for each, file in entries}
    with (
        sdist.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=time) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for each in sorted(contents, key=lambda entry: entry.name):
            entry = tarfile.TarInfo(each.name)
            entry.type, entry.size, entry.mtime = each.type, each.size, time
            entry.mode = 0o755 if each.isdir() else 0o644
            archive.addfile(entry, BytesIO(contents[each]))


def copy_sources(root: Path, folder: Path) -> None:
    """Copy them without secrets, because a build leaves files beside its sources."""
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "secrets")
    for name in ("src", "deploy"):
        shutil.copytree(root / name, folder / name, ignore=leave)
    for name in SOURCES:
        shutil.copyfile(root / name, folder / name)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _run(module: str, *arguments: object) -> None:
    """Run a tool, and print what it says only if it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
