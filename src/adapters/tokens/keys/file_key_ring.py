"""The signing keys in one file, shared by running processes and commands."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.key_file import FileMark, KeyFile, StoredKeys
from ordergate.adapters.tokens.keys.key_source import KeySource, to_jwks
from ordergate.adapters.tokens.keys.signing_key import InvalidSigningKey, SigningKey
from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.application.ports.tokens import Jwks
from ordergate.domain.signing_keys import KeyAlgorithm, KeyId, KeyRecord, KeyRing, NewKey

LOOK_SECONDS = 1.0
"""The maximum age of the keys in a running process."""

_log = logging.getLogger("ordergate.keys")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The loaded keys, and the mark of their file."""

    mark: FileMark
    signing: SigningKey
    verifying: KeySet
    jwks: Jwks


class FileKeyRing(KeySource, SigningKeys):
    """The keys in a `KeyFile`, for running processes and commands.

    The first use creates the file with a key that signs. A change replaces the whole file
    under a lock, so parallel commands and first starts agree. A running process checks the file
    once a second, and immediately when a token fits no known key. If the file is unusable, the
    process keeps its keys. `ticks` is a monotonic clock in seconds.
    """

    def __init__(
        self, file: Path, *, clock: Clock, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = KeyFile(file)
        self._clock = clock
        self._ticks = ticks
        self._next_look = 0.0
        self._loaded: _Loaded | None = None
        self._flaw: str | None = None
        self._made: dict[KeyId, SigningKey] = {}

    def signing(self) -> SigningKey:
        """Return the key that currently signs."""
        return self._get_current().signing

    def verifying(self, *, newest: bool = False) -> KeySet:
        """Return every key.

        Another process may already sign with a published one.
        """
        return self._get_current(newest=newest).verifying

    def jwks(self) -> Jwks:
        """Publish every key."""
        return self._get_current().jwks

    def list_keys(self) -> Sequence[KeyRecord]:
        """Return the keys in the file, oldest first; empty without a file."""
        return self._file.read().ring.keys

    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        """Generate a key pair and keep it until a change stores it."""
        return self._keep(SigningKey.new(algorithm))

    def import_key(self, file: Path) -> NewKey:
        """Read a PEM file; keep its key until a change stores it."""
        try:
            return self._keep(SigningKey.from_file(file))
        except InvalidSigningKey as error:
            raise SigningKeyError(f"{file}: {error}") from None

    def change(
        self,
        step: Callable[[KeyRing], KeyRing],
        record: Callable[[Sequence[KeyRecord]], None],
    ) -> Sequence[KeyRecord]:
        """Replace the file under its lock."""
        with self._file.locked():
            before = self._file.read()
            ring = step(before.ring)
            changed = ring.find_changes(before.ring)
            if changed:
                self._file.write(StoredKeys(ring, {**self._made, **before.private}))
                for key in changed:
                    self._made.pop(key.id, None)
                record(changed)
            return changed

    def _keep(self, key: SigningKey) -> NewKey:
        self._made[KeyId(key.kid)] = key
        return NewKey(KeyId(key.kid), key.algorithm)

    def _get_current(self, *, newest: bool = False) -> _Loaded:
        now = self._ticks()
        if self._loaded is None:
            self._loaded = self._load_first()
        elif now >= self._next_look or (newest and self._flaw is None):
            self._loaded = self._look(self._loaded)
        else:
            return self._loaded
        self._next_look = now + LOOK_SECONDS
        return self._loaded

    def _load_first(self) -> _Loaded:
        if not self._file.exists():
            # Nothing is recorded, because no operator made this change.
            self.change(self._with_first_key, lambda _: None)
        return self._load()

    def _with_first_key(self, ring: KeyRing) -> KeyRing:
        if ring.keys:
            return ring
        return ring.publish(self.make_key(ring.choose_algorithm()), self._clock.now())

    def _look(self, known: _Loaded) -> _Loaded:
        """Return the keys of a usable file, else the known ones."""
        try:
            if self._file.mark() != known.mark:
                known = self._load()
                _log.info("keys_loaded", extra={"signing": known.signing.kid})
        except Exception as error:  # noqa: BLE001 - nothing in a file may stop those who serve
            if str(error) != self._flaw:  # else it was logged before
                _log.warning("keys_unusable", extra={"reason": str(error)})
            self._flaw = str(error)
        else:
            self._flaw = None
        return known

    def _load(self) -> _Loaded:
        mark, stored = self._file.load()
        keys = [stored.private[record.id] for record in stored.ring.keys]
        signing = stored.private[stored.ring.signing().id]
        return _Loaded(
            mark, signing, KeySet.from_keys(key.verifying() for key in keys), to_jwks(keys)
        )
