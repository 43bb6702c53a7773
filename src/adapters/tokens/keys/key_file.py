"""A file of signing keys, replaced as a whole under a lock."""

import fcntl
import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ordergate.adapters.system import files
from ordergate.adapters.tokens.keys.encoding import parse_json_object
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import SigningKeyError
from ordergate.domain.signing_keys import KeyId, KeyRecord, KeyRing, KeyStatus

MAX_FILE_BYTES = 1_048_576
"""The maximum size of a file."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LAST_YEAR = 9000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger("ordergate.keys")

FileMark = tuple[int, int, int]
"""Time, inode and size of a file, which a replacement changes."""


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """The ring in a file, and the private key of each record."""

    ring: KeyRing
    private: Mapping[KeyId, SigningKey]


class KeyFile:
    """A private JWK Set (RFC 7517) in a file.

    The file has mode 0600, in a folder of mode 0700. Beside the members of a JWK, each key has its
    `status` and the time of that status as `since` (RFC 3339, UTC). Every method may raise
    `SigningKeyError`. The message names the file and has no key material.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Report whether the file exists."""
        with self._explain_errors("read"):
            return files.is_file(self._path)

    def mark(self) -> FileMark:
        """Return a value that differs after a replacement of the file."""
        with self._explain_errors("read"):
            status = self._path.stat()
            return status.st_mtime_ns, status.st_ino, status.st_size

    def load(self) -> tuple[FileMark, StoredKeys]:
        """Return the keys of an existing file, and its mark."""
        mark = self.mark()  # first, so a replacement meanwhile is noticed at the next check
        stored = self.read()
        with self._explain_errors("read"):
            if not stored.ring.keys:
                raise ValueError("it has no keys")
        return mark, stored

    def read(self) -> StoredKeys:
        """Return the keys; empty without a file."""
        with self._explain_errors("read"):
            try:
                status = self._path.stat()
                if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                    raise ValueError(f"it is not a file, or has more than {MAX_FILE_BYTES} bytes")
                members = parse_json_object(self._path.read_bytes()).get("keys")
            except FileNotFoundError:
                return StoredKeys(KeyRing(), {})
            if status.st_mode & _OTHERS:
                mode = f"{stat.S_IMODE(status.st_mode):o}"
                _log.warning("keys_open_to_others", extra={"mode": mode})
            if not isinstance(members, list) or not all(isinstance(each, dict) for each in members):
                raise ValueError("keys is not a list of objects")
            keys = [_read_key_and_record(each) for each in members]
            ring = KeyRing(tuple(record for _, record in keys))
            return StoredKeys(ring, {record.id: key for key, record in keys})

    def write(self, keys: StoredKeys) -> None:
        """Replace the whole file.

        Only the holder of the lock may call this.
        """
        members = [_make_members(record, keys.private[record.id]) for record in keys.ring.keys]
        with self._explain_errors("written"):
            itself = self._path.resolve()  # which a link may lead to
            draft = itself.with_name(f".{itself.name}.draft")
            draft.unlink(missing_ok=True)
            try:
                with os.fdopen(files.make_like(itself, draft), "w") as file:
                    file.write(json.dumps({"keys": members}, indent=2) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(itself)
            finally:
                draft.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Prevent other processes from changing the file."""
        with self._explain_errors("written"):
            lock = self._open_lock()
        try:
            with self._explain_errors("written"):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        files.make_folder(self._path.parent)
        path = Path(f"{self._path}.lock")
        try:
            return files.make_file(path)
        except PermissionError:  # only network file systems need write access for a lock
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def _explain_errors(self, done: str) -> Iterator[None]:
        """Name the file and the reason in errors."""
        try:
            yield
        except OSError as error:
            reason = files.reason(error, Path(error.filename or self._path))
        except ValueError as error:
            reason = str(error)
        else:
            return
        raise SigningKeyError(f"the signing keys {self._path} cannot be {done}: {reason}")


def _make_members(record: KeyRecord, key: SigningKey) -> dict[str, str]:
    since = f"{record.since:{_TIME}}"
    return key.private_jwk() | {"status": record.status.value, "since": since}


def _read_key_and_record(members: Mapping[str, object]) -> tuple[SigningKey, KeyRecord]:
    since = datetime.strptime(str(members.get("since")), _TIME).replace(tzinfo=UTC)
    if since.year > _LAST_YEAR:
        raise ValueError("since is too far away")
    status = KeyStatus(str(members.get("status")))
    if status is KeyStatus.REMOVED:
        raise ValueError("it has a removed key")
    key = SigningKey.from_jwk(members)
    return key, KeyRecord(KeyId(key.kid), key.algorithm, status, since)
