"""Copy a whole storage into an empty one."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum, StrEnum
from hashlib import sha256
from operator import attrgetter, methodcaller
from typing import Any

from ordergate.application.errors import (
    CopyDiffers,
    CopyUnfinished,
    MissingCapability,
    StorageNotEmpty,
)
from ordergate.application.ports.archive import (
    RECORD_TYPES,
    Archive,
    CopyCheckpoint,
    Record,
)
from ordergate.application.ports.storage import Storage
from ordergate.application.purpose_keys import KeyPurpose, PurposeKeys

_MODULUS = 2**256


class Stage(StrEnum):
    """The stage of a copy: writing records, then comparing both storages."""

    COPYING = "copying"
    VERIFYING = "verifying"


ProgressCallback = Callable[[Stage, int, int], None]
"""Receives the stage, the number of finished records, and the total."""


def _ignore_progress(_stage: Stage, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class CopyStorage:
    """Copy a storage into an empty one, or continue the last attempt.

    Both storages are open, the target with `unfinished`. The target cannot be served until the copy
    is complete. At the end, all records of both are read again and compared by count and checksum.
    Returns the number of records of each kind.

    Raises:
        StorageNotEmpty: the target has records of its own.
        CopyUnfinished: the target holds an incomplete copy of another storage.
        MissingCapability: a storage has no archive.
        CopyDiffers: the copy is not equal; the target stays unfinished.
    """

    source: Storage
    target: Storage
    batch: int = 500
    """Records that are read and written together; with orders of 100 lines these are 50,000 rows.
    """

    async def __call__(self, *, watch: ProgressCallback = _ignore_progress) -> Mapping[str, int]:
        source, target = require_archive(self.source, "from"), require_archive(self.target, "into")
        name = (await PurposeKeys(self.source).get(KeyPurpose.COPY_SOURCE)).hex()
        copy = _Copy(source, name, target, self.batch)
        checkpoint = await target.checkpoint()
        if checkpoint is None:
            await copy.refuse_anything()
        elif checkpoint.source != name:
            raise CopyUnfinished("the target holds an unfinished copy of another database")
        total = sum([await source.count(kind) for kind in RECORD_TYPES.values()])
        await copy.write(checkpoint, lambda done: watch(Stage.COPYING, done, total))
        counts = await copy.verify(lambda done: watch(Stage.VERIFYING, done, 2 * total))
        await target.finish()
        return counts


def require_archive(storage: Storage, direction: str) -> Archive:
    """Return the archive of a storage. Raises `MissingCapability`."""
    if storage.archive is None:
        raise MissingCapability(
            f"nothing can be copied {direction} this storage, because it has no archive; use the"
            " tools of its own database"
        )
    return storage.archive


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy between two archives; `name` names the source in checkpoints."""

    source: Archive
    name: str
    target: Archive
    batch: int

    async def refuse_anything(self) -> None:
        for kind in RECORD_TYPES.values():
            some, _ = await self.target.read(kind, limit=1)
            if some:
                raise StorageNotEmpty

    async def write(self, checkpoint: CopyCheckpoint | None, watch: Callable[[int], None]) -> None:
        done = sum([await self.target.count(kind) for kind in RECORD_TYPES.values()])
        watch(done)
        for name, after in _list_kinds_left(checkpoint):
            place = after
            while True:
                records, place = await self.source.read(
                    RECORD_TYPES[name], after=place, limit=self.batch
                )
                if not records:
                    break
                try:
                    await self.target.write(
                        records, checkpoint=CopyCheckpoint(self.name, name, place)
                    )
                except ValueError:
                    raise CopyDiffers([name]) from None
                done += len(records)
                watch(done)

    async def verify(self, watch: Callable[[int], None]) -> dict[str, int]:
        counts, differing, done = {}, [], 0
        for name, kind in RECORD_TYPES.items():
            sums = []
            for archive in (self.source, self.target):
                total = _Checksum()
                async for records in _read_pages(archive, kind, self.batch):
                    total = total.with_records(records)
                    watch(done + total.count)
                done += total.count
                sums.append(total)
            counts[name] = sums[0].count
            if sums[0] != sums[1]:
                differing.append(name)
        if differing:
            raise CopyDiffers(differing)
        return counts


@dataclass(frozen=True, slots=True)
class _Checksum:
    """The count and the sum of hashes of records, in any order.

    The sum is that of SHA-256 modulo 2^256.
    """

    count: int = 0
    sum: int = 0

    def with_records(self, records: Sequence[Record]) -> "_Checksum":
        digests = (sha256(_to_canonical(record)).digest() for record in records)
        added = sum(int.from_bytes(digest) for digest in digests)
        return _Checksum(self.count + len(records), (self.sum + added) % _MODULUS)


def _list_kinds_left(checkpoint: CopyCheckpoint | None) -> Iterator[tuple[str, str]]:
    """Yield the remaining kinds, each with the position to continue after."""
    names = list(RECORD_TYPES)
    first = names.index(checkpoint.kind) if checkpoint else 0
    for name in names[first:]:
        yield name, checkpoint.after if checkpoint and name == checkpoint.kind else ""


async def _read_pages(
    archive: Archive, kind: type[Record], limit: int
) -> AsyncIterator[Sequence[Record]]:
    place = ""
    while True:
        records, place = await archive.read(kind, after=place, limit=limit)
        if not records:
            return
        yield records


def _to_canonical(record: Record) -> bytes:
    """Write all fields of a record.

    Python's notation for built-in values is unambiguous.
    """
    return repr(_to_primitive(record)).encode()


def _to_primitive(value: object) -> object:
    kind = type(value)
    if kind not in _CONVERTERS:
        _CONVERTERS[kind] = _make_primitive_converter(kind)
    return _CONVERTERS[kind](value)


_CONVERTERS: dict[type[Any], Callable[[Any], object]] = {}


def _make_primitive_converter(kind: type[Any]) -> Callable[[Any], object]:
    """Return a function that converts values to built-in ones.

    It converts every field of the type.
    """
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
        return lambda value: [_to_primitive(getattr(value, name)) for name in names]
    if issubclass(kind, Enum):
        return attrgetter("value")
    if issubclass(kind, datetime):
        return methodcaller("isoformat")
    if issubclass(kind, frozenset):
        return lambda values: sorted(map(_to_primitive, values), key=repr)
    if issubclass(kind, tuple):
        return lambda values: list(map(_to_primitive, values))
    if kind in {bool, bytes, int, str, type(None)}:
        return lambda value: value
    raise TypeError(f"a copy cannot compare values of {kind}; say how in {__name__}")
