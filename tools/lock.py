"""Write requirements.lock from pyproject.toml, or check that it still belongs to it.

    python tools/lock.py           resolve anew (needs the network; gets uv if it is missing)
    python tools/lock.py --check   say whether the dependencies changed since (needs nothing)

The lock holds versions and hashes and names no host. Its first line is a digest of what
pyproject.toml asks for, so that a check needs no resolver.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"


def digest() -> str:
    """Return the line that says which dependencies a lock was resolved from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        key: project[key] for key in ("requires-python", "dependencies", "optional-dependencies")
    }
    return f"# for {hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()}\n"


def is_fresh() -> bool:
    """Say whether the lock was resolved from what pyproject.toml asks for now."""
    return LOCK.read_text().startswith(digest())


def resolve() -> None:
    """Resolve for every supported interpreter and system, and write the lock."""
    python = [sys.executable, "-m"]
    subprocess.run([*python, "pip", "install", "--quiet", "uv"], check=True)
    options = ["--universal", "--all-extras", "--generate-hashes", "--no-header", "--quiet"]
    resolved = subprocess.run(
        [*python, "uv", "pip", "compile", *options, "--upgrade", "pyproject.toml"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    LOCK.write_text(digest() + resolved)


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        resolve()
    elif not is_fresh():
        sys.exit("requirements.lock is stale: pyproject.toml has changed; run `make lock`")
