"""Folders with a migrated database."""

import shutil
from pathlib import Path

import pytest

from tests.support.program.command import ordergate, seed_folder


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    assert ordergate("migrate", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def migrated(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database and its backup.

    The database has 3 users and 3,000 orders.
    """
    return seed_folder(tmp_path_factory.mktemp("seeded"), orders=3_000)


@pytest.fixture
def home(seeded: Path, tmp_path: Path) -> Path:
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)
    return tmp_path
