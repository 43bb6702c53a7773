"""Transactions, and tables of records."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, Generic

import lmdb

from ordergate.application.ports.archive import R


class Transaction:
    """What one transaction sees: keys and values, both bytes."""

    def __init__(self, inner: lmdb.Transaction) -> None:
        self._inner = inner

    def get(self, key: bytes) -> bytes:
        """Return the value of a key, empty if missing."""
        return bytes(self._inner.get(key, b""))

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value under a key."""
        self._inner.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self._inner.delete(key)

    def scan(self, prefix: bytes, *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys with a prefix in order, with their values.

        Begins at `start`. The prefix is removed from each key.
        """
        with self._inner.cursor() as cursor:
            found = cursor.set_range(prefix + start)
            while found and (key := bytes(cursor.key())).startswith(prefix):
                yield key[len(prefix) :], bytes(cursor.value())
                found = cursor.next()

    def any(self, *prefixes: bytes) -> bool:
        """Say whether there is a key with one of the prefixes."""
        return any(True for prefix in prefixes for _ in self.scan(prefix))

    def last(self, kind: bytes) -> bytes:
        """Return the last key that begins with a byte, without it.

        The result is empty if there is none.
        """
        with self._inner.cursor() as cursor:
            found = cursor.prev() if cursor.set_range(bytes([kind[0] + 1])) else cursor.last()
            key = bytes(cursor.key()) if found else b""
        return key[1:] if key.startswith(kind) else b""


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """Records of one kind, and the keys that lead to them."""

    kind: bytes
    """The first byte of the keys of its records."""
    key: Callable[[R], bytes]
    leads: Callable[[R], set[bytes]]
    refers_to: Callable[[R], bytes | None]
    """The key of the record without which it may not be."""
    encode: Callable[[R], object]
    decode: Callable[[Any], R]

    def read(self, value: bytes) -> R:
        """Read a record from what is stored."""
        return self.decode(json.loads(value))

    def get(self, view: Transaction, key: bytes) -> R | None:
        """Return the record of a key."""
        stored = view.get(key)
        return self.read(stored) if stored else None

    def at(self, view: Transaction, lead: bytes) -> R | None:
        """Return the record that a key leads to."""
        key = view.get(lead)
        return self.get(view, key) if key else None

    def along(
        self,
        view: Transaction,
        prefix: bytes,
        *,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
    ) -> list[R]:
        """Return the records of the keys with a prefix, in order.

        What follows the prefix is no less than `start`, and begins with no more than `end`.
        """
        leads = takewhile(lambda lead: lead[0][: len(end)] <= end, view.scan(prefix, start=start))
        return [self.read(view.get(key)) for _, key in islice(leads, limit)]

    def put(self, view: Transaction, record: R) -> None:
        """Store a record; replace the one with the same key."""
        key, leads = self.key(record), self.leads(record)
        before = self.get(view, key)
        for lead in (self.leads(before) if before else set()) - leads:
            view.delete(lead)
        for lead in leads:
            view.put(lead, key)
        view.put(key, json.dumps(self.encode(record), separators=(",", ":")).encode())

    def add(self, view: Transaction, record: R) -> None:
        """Store a new record. Raises ValueError, as `Archive.write` does."""
        if any(map(view.get, {self.key(record), *self.leads(record)})):
            raise ValueError("a record is given twice, or is there already")
        refers_to = self.refers_to(record)
        if refers_to and not view.get(refers_to):
            raise ValueError("a record is without its owner, or what it refers to is not there")
        self.put(view, record)

    def delete(self, view: Transaction, record: R) -> None:
        """Remove a record and the keys that lead to it."""
        for key in {self.key(record), *self.leads(record)}:
            view.delete(key)
