"""The storage that docs/storage.md writes is whole: the contract kit passes on it."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import lmdb
import pytest

from application.ports.storage import Storage
from tests.contracts.atomicity import Failure
from tests.contracts.identity import STEPS, IdentityMachine
from tests.contracts.storage import StorageContract

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "storage.md").read_text()
FOLDER = TemporaryDirectory(prefix="ordergate-page-")
NAME = "lmdb_storage"


def code() -> str:
    """Return the module that the page's blocks are together."""
    blocks = re.findall(r"^```python\n(?!# )(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return "\n\n".join(blocks)


def adapter() -> ModuleType:
    file = Path(FOLDER.name) / f"{NAME}.py"
    file.write_text(code())
    spec = spec_from_file_location(NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[NAME] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


ADAPTER: Any = adapter()


def storage_in(folder: Path) -> Storage:
    storage: Storage = ADAPTER.LmdbStorage(ADAPTER.LmdbDatabase(folder))
    return storage


class TestLmdbStorage(StorageContract):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        self.folder = tmp_path / "orders"
        storage = storage_in(self.folder)
        await storage.migrate()
        await storage.open()
        yield storage
        await storage.close()

    def another(self, storage: Storage) -> Storage:
        return storage_in(self.folder)

    async def empty(self, storage: Storage) -> None:
        def work(view: Any) -> None:
            for key in list(view.scan(b"")):
                if not key.startswith(b"m"):
                    view.delete(key)

        await ADAPTER.LmdbDatabase.write(storage._database, work)  # type: ignore[attr-defined]

    @contextmanager
    def fail_at(self, storage: Storage, failure: Failure) -> Iterator[None]:
        """Each put and each delete is a step."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("put", "delete"):
                done = getattr(ADAPTER.Transaction, name)

                def step(*args: Any, done: Any = done) -> None:
                    failure.step(lmdb.Error("failed by a test"))
                    done(*args)

                patch.setattr(ADAPTER.Transaction, name, step)
            yield


class LmdbIdentity(IdentityMachine):
    def storage(self) -> Storage:
        self.folder = TemporaryDirectory()
        storage = storage_in(Path(self.folder.name) / "identity")
        self.run(storage.migrate())
        self.run(storage.open())
        return storage

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestIdentityOnLmdb = LmdbIdentity.TestCase
TestIdentityOnLmdb.settings = STEPS
