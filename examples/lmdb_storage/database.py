"""The environment: one folder with one file."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import lmdb

from ordergate.application.errors import StorageUnavailable

from .transactions import Transaction

T = TypeVar("T")


@dataclass
class _Shared:
    environment: lmdb.Environment
    users: int = 0


_SHARED: dict[Path, _Shared] = {}

MAP_BYTES = 2**40
"""The most that is ever stored. It reserves addresses, not memory or disk."""


class LmdbDatabase:
    """An LMDB environment, opened when it is first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._environment: lmdb.Environment | None = None
        self._writer: ThreadPoolExecutor | None = None

    @staticmethod
    def find_url_error(url: str) -> str | None:
        """Say what is wrong with a URL that should name a folder."""
        path = url.removeprefix("lmdb:///")
        named = path != url and path.strip("/") and not {"?", "#"} & {*path}
        return None if named else "must name a folder, as in lmdb:///folder"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Make the database that a URL without a flaw names."""
        return cls(Path(url.removeprefix("lmdb:///")))

    def exists(self) -> bool:
        """Say whether there is a file."""
        return (self.folder / "data.mdb").is_file()

    def open(self, *, create: bool = False) -> lmdb.Environment:
        """Open the file, or create one that only its owner can read."""
        if self._environment is None:
            shared = _SHARED.get(self.folder)
            if shared is None:
                with lmdb_errors():
                    if create:
                        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    environment = lmdb.open(
                        str(self.folder), map_size=MAP_BYTES, mode=0o600, create=create
                    )
                    environment.reader_check()  # frees the places of readers that were killed
                    shared = _SHARED[self.folder] = _Shared(environment)
            shared.users += 1
            self._environment = shared.environment
        return self._environment

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Read in a transaction."""
        with lmdb_errors(), self.open().begin() as inner:
            return work(Transaction(inner))

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Write in a transaction on the writing thread; undo after an error."""
        environment = self.open()

        def commit() -> T:
            with lmdb_errors(), environment.begin(write=True) as inner:
                return work(Transaction(inner))

        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="lmdb-writer")
        return await asyncio.get_running_loop().run_in_executor(self._writer, commit)

    def close(self) -> None:
        """Wait for the write under way and let the file go."""
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None
        if self._environment is not None:
            self._environment = None
            shared = _SHARED[self.folder]
            shared.users -= 1
            if not shared.users:
                del _SHARED[self.folder]
                shared.environment.close()


@contextmanager
def lmdb_errors() -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise StorageUnavailable(f"LMDB: {error}") from error
