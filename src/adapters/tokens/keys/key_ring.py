"""The signing keys in one file, which running processes follow and commands change."""

import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ordergate.adapters.system import files
from ordergate.adapters.tokens.keys.encoding import parse_json_object
from ordergate.adapters.tokens.keys.jwk import Algorithm, KeySet
from ordergate.adapters.tokens.keys.key_life import RingKey, RingState, Status
from ordergate.adapters.tokens.keys.key_source import KeySource, jwks_of
from ordergate.adapters.tokens.keys.signing_key import InvalidSigningKey, SigningKey
from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.audit import AuditEvent
from ordergate.application.ports.clock import Clock
from ordergate.application.ports.tokens import Jwks

LOOK_SECONDS = 1.0
"""How old the keys of a running process may be."""

MAX_FILE_BYTES = 1_048_576
"""The largest file that is read."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LAST_YEAR = 9000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger("ordergate.keys")
_audit = logging.getLogger("ordergate.audit")

_Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was read, ready for use, and the mark of the file that it was read from."""

    mark: _Mark
    signing: SigningKey
    verifying: KeySet
    jwks: Jwks


class KeyRing(KeySource):
    """Keys in `file`: a private JWK Set (RFC 7517) of mode 0600, in a folder of mode 0700.

    Beside the members of a JWK each has its `status` and `since`, the time (RFC 3339, UTC) when
    that began. First use makes the file, with an Ed25519 key that signs. Changes replace the file
    as a whole under a lock, so parallel commands and first starts agree. A running process looks at
    the file once a second, and immediately when a token fits none of its keys; a file that it
    cannot use leaves it with the keys it has.

    `token_life` is how long a token is accepted after it was signed, leeway included; `ticks` is
    a monotonic clock in seconds. Every method raises `SigningKeyError` where keys cannot be read or
    changed; the message holds no key material.
    """

    def __init__(
        self,
        file: Path,
        *,
        clock: Clock,
        token_life: timedelta,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._clock = clock
        # A process may have signed until its next look, and times are kept in whole seconds.
        self._token_life = token_life + timedelta(seconds=LOOK_SECONDS + 1)
        self._ticks = ticks
        self._next_look = 0.0
        self._loaded: _Loaded | None = None
        self._flaw: str | None = None

    def signing(self) -> SigningKey:
        """Return the key that signs now."""
        return self._current().signing

    def verifying(self, *, newest: bool = False) -> KeySet:
        """Return every key: one that is published may sign elsewhere before it is noticed here."""
        return self._current(newest=newest).verifying

    def jwks(self) -> Jwks:
        """Publish every key."""
        return self._current().jwks

    def all_keys(self) -> tuple[RingKey, ...]:
        """Return the keys in the file, oldest first; none where there is no file yet."""
        with self._explained("read"):
            return self._read().keys

    def due(self, key: RingKey) -> datetime | None:
        """Tell when the next step in the life of a key may come, or `None` where nothing waits."""
        return key.due(self._token_life)

    def publish(self, algorithm: Algorithm) -> list[RingKey]:
        """Make a key. Returns what has changed, as all steps do; what went has the status GONE."""
        return self._publish(SigningKey.new(algorithm))

    def publish_from(self, file: Path) -> list[RingKey]:
        """Take the key of a PEM file."""
        try:
            return self._publish(SigningKey.from_file(file))
        except InvalidSigningKey as error:
            raise SigningKeyError(f"{file}: {error}") from None

    def promote(self, kid: str, *, early: bool = False) -> list[RingKey]:
        """Let a published key sign, as `RingState.promoted` says."""
        return self._change(
            lambda state, now: state.promoted(kid, now, self._token_life, early=early)
        )

    def retire(self, kid: str, *, early: bool = False) -> list[RingKey]:
        """Drop a key, as `RingState.retired` says."""
        return self._change(
            lambda state, now: state.retired(kid, now, self._token_life, early=early)
        )

    def rotate(self, *, early: bool = False) -> list[RingKey]:
        """Take the steps that are due, as `RingState.rotated` says."""
        return self._change(
            lambda state, now: state.rotated(now, self._token_life, SigningKey.new, early=early)
        )

    def _publish(self, key: SigningKey) -> list[RingKey]:
        return self._change(lambda state, now: state.with_new(key, now))

    def _current(self, *, newest: bool = False) -> _Loaded:
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
        with self._explained("read"):
            missing = not files.is_file(self._file)
        if missing:
            self._change(
                lambda state, now: state if state.keys else state.with_new(_first_key(), now),
                recorded=False,  # nobody has decided anything
            )
        with self._explained("read"):
            return self._load()

    def _look(self, known: _Loaded) -> _Loaded:
        """Return the keys of the file if they can be had, else those that are known."""
        try:
            with self._explained("read"):
                if _mark_of(self._file) != known.mark:
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
        mark = _mark_of(self._file)  # first: what is replaced meanwhile looks changed next time
        state = self._read()
        if not state.keys:
            raise ValueError("there are none in it")
        keys = [each.key for each in state.keys]
        verifying = KeySet.of(key.verifying() for key in keys)
        return _Loaded(mark, state.signing().key, verifying, jwks_of(keys))

    def _read(self) -> RingState:
        try:
            status = self._file.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                raise ValueError(f"it is no file, or has more than {MAX_FILE_BYTES} bytes")
            members = parse_json_object(self._file.read_bytes()).get("keys")
        except FileNotFoundError:
            return RingState()
        if status.st_mode & _OTHERS:
            _log.warning("keys_open_to_others", extra={"mode": f"{stat.S_IMODE(status.st_mode):o}"})
        if not isinstance(members, list) or not all(isinstance(each, dict) for each in members):
            raise ValueError("keys is not a list of objects")
        return RingState(tuple(map(_ring_key, members)))

    def _change(
        self, step: Callable[[RingState, datetime], RingState], *, recorded: bool = True
    ) -> list[RingKey]:
        with self._explained("written"), self._locked():
            with self._explained("read"):
                before = self._read()
            now = self._clock.now()
            after = step(before, now)
            if after == before:
                return []
            self._write(after)
            kept = {key.kid for key in after.keys}
            gone = [replace(k, status=Status.GONE) for k in before.keys if k.kid not in kept]
            changed = [*gone, *(key for key in after.keys if key not in before.keys)]
            # Under the lock, so that the lines of several commands are in the order of the changes.
            for key in changed if recorded else ():
                _audit.info(
                    AuditEvent.KEY_ROTATED.value, extra={"kid": key.kid, "status": str(key.status)}
                )
            return changed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        files.make_folder(self._file.parent)
        path = Path(f"{self._file}.lock")
        try:
            lock = files.make_file(path)
        except PermissionError:  # to lock it, reading is enough but on a network file system
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, state: RingState) -> None:
        """Put a whole file in place of the old one; only who holds the lock writes the draft."""
        text = json.dumps({"keys": [_members(key) for key in state.keys]}, indent=2)
        file_itself = self._file.resolve()  # which a link may lead to
        draft = file_itself.with_name(f".{file_itself.name}.draft")
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(files.make_like(file_itself, draft), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(file_itself)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Say which file could not be read or written, and why."""
        try:
            yield
        except OSError as error:
            reason = files.reason(error, Path(error.filename or self._file))
        except ValueError as error:
            reason = str(error)
        else:
            return
        raise SigningKeyError(f"the signing keys {self._file} cannot be {done}: {reason}")


def _first_key() -> SigningKey:
    return SigningKey.new("EdDSA")


def _mark_of(file: Path) -> _Mark:
    status = file.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _members(key: RingKey) -> dict[str, str]:
    since = key.since.strftime(_TIME)
    return key.key.private_jwk() | {"status": str(key.status), "since": since}


def _ring_key(members: dict[str, object]) -> RingKey:
    since = datetime.strptime(str(members.get("since")), _TIME).replace(tzinfo=UTC)
    if since.year > _LAST_YEAR:
        raise ValueError("since is too far away")
    status = Status(str(members.get("status")))
    if status is Status.GONE:
        raise ValueError("a key that is gone is there")
    return RingKey(SigningKey.from_jwk(members), status, since)
