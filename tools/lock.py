"""Write the locks from pyproject.toml, or check them.

    python tools/lock.py           # resolve again (needs the network; gets uv if it is missing)
    python tools/lock.py --check   # check for changed dependencies (needs nothing)
    python tools/lock.py --npm     # write the lock of npm from package.json (needs .venv-clients)

requirements.lock has the packages for serving. requirements-dev.lock adds those for tests and
checks in the same versions. bench/requirements.lock has the peers of the benchmarks,
docs/requirements.lock has the generator of the documentation's site,
tests/clients/requirements.lock has the generators of clients, tests/crash/requirements.lock has
Patroni, and tools/requirements.lock has what builds a release. A lock holds versions and hashes
and names no host. Its first line is a digest of the requirements in pyproject.toml, so a check
needs no resolver.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = "requirements.lock"
DEV = "requirements-dev.lock"
PEERS = "bench/requirements.lock"
SITE = "docs/requirements.lock"
CLIENTS = "tests/clients/requirements.lock"
CLUSTER = "tests/crash/requirements.lock"
RELEASE = "tools/requirements.lock"
NPM_LOCK = "tests/clients/package-lock.json"
THEIR_OWN = {PEERS: {"sqlalchemy"}, CLIENTS: {"typer"}}
"""Packages that fastapi-users and openapi-python-client need in other versions than the project."""


def asked() -> dict[str, dict[str, Any]]:
    """Return the requirements of each lock in pyproject.toml."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, python = whole["project"], "requires-python"
    serving = {name: project[name] for name in (python, "dependencies")}
    extras, groups = project["optional-dependencies"], whole["dependency-groups"]
    return {
        LOCK: {**serving, "build": extras["build"]},
        DEV: {**serving, **extras},
        PEERS: {python: project[python], "bench": groups["bench"]},
        SITE: {python: project[python], "docs": groups["docs"]},
        CLIENTS: {python: project[python], "clients": groups["clients"]},
        CLUSTER: {python: project[python], "cluster": groups["cluster"]},
        RELEASE: {python: project[python], "release": groups["release"]},
    }


def digest(lock: str) -> str:
    """Return the line that identifies the requirements of a lock."""
    text = json.dumps(asked()[lock], sort_keys=True)
    return f"# for {hashlib.sha256(text.encode()).hexdigest()}\n"


def stale() -> list[str]:
    """Return the locks that do not match pyproject.toml."""
    return [
        lock
        for lock in asked()
        if not (ROOT / lock).read_text(encoding="utf-8").startswith(digest(lock))
    ]


def resolve(lock: str, *options: str, constraints: str = "") -> None:
    """Resolve for every supported interpreter and system, and write the lock."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *options]
    command += ["--universal", "--generate-hashes", "--no-header", "--quiet"]
    resolved = subprocess.run(
        [*command, "--constraint", "-"],
        cwd=ROOT,
        check=True,
        input=constraints,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    (ROOT / lock).write_text(digest(lock) + resolved, encoding="utf-8")


def versions(*, without: Collection[str] = ()) -> str:
    """Return the versions of the largest lock, which the others use."""
    text = (ROOT / DEV).read_text(encoding="utf-8")
    pinned = re.findall(r"^(([\w.-]+)==[^\\\n]+)", text, re.MULTILINE)
    return "\n".join(line for line, name in pinned if name not in without)


def resolve_npm() -> None:
    """Write the lock of npm without the addresses for donations."""
    bin_folder = ROOT / ".venv-clients" / "bin"
    subprocess.run(
        [bin_folder / "npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit"],
        cwd=(ROOT / NPM_LOCK).parent,
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )
    lock = json.loads((ROOT / NPM_LOCK).read_text(encoding="utf-8"))
    for package in lock["packages"].values():
        package.pop("funding", None)
    (ROOT / NPM_LOCK).write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


def named_hosts() -> list[str]:
    """Return the locks that hold an address."""
    return [
        lock for lock in (*asked(), NPM_LOCK) if "://" in (ROOT / lock).read_text(encoding="utf-8")
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["--npm"]:
        resolve_npm()
    elif sys.argv[1:] != ["--check"]:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
        resolve(DEV, "--all-extras", "--upgrade", "pyproject.toml")
        resolve(LOCK, "--extra", "build", "pyproject.toml", constraints=versions())
        resolve(PEERS, "--group", "bench", constraints=versions(without=THEIR_OWN[PEERS]))
        resolve(SITE, "--group", "docs", constraints=versions())
        resolve(CLIENTS, "--group", "clients", constraints=versions(without=THEIR_OWN[CLIENTS]))
        resolve(CLUSTER, "--group", "cluster", constraints=versions())
        resolve(RELEASE, "--group", "release", constraints=versions())
    elif found := stale():
        sys.exit(f"{found[0]} is stale: pyproject.toml has changed; run `make lock`")
    elif found := named_hosts():
        sys.exit(f"{found[0]} names a host; write it with tools/lock.py")
