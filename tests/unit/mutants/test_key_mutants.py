"""Faults of keepers of signing keys."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Barrier

from ordergate.domain.errors import InvalidKeyChange
from ordergate.domain.signing_keys import (
    KeyAlgorithm,
    KeyId,
    KeyRecord,
    KeyRing,
    KeyStatus,
    NewKey,
)
from tests.contracts.signing_keys_contract import publishing
from tests.support.doubles import InMemorySigningKeys, KeptKeys
from tests.unit.mutants.kit import caught_by

Step = Callable[[KeyRing], KeyRing]
Record = Callable[[Sequence[KeyRecord]], None]


@caught_by("test_key_that_was_only_made_is_not_listed")
class StoresEveryKeyThatIsMade(InMemorySigningKeys):
    """A command that fails leaves a key."""

    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        key = super().make_key(algorithm)
        self.change(publishing(key), lambda _: None)
        return key


@caught_by("test_keys_that_are_made_differ")
class NamesKeysByTheirAlgorithm(InMemorySigningKeys):
    """A second key cannot be published."""

    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        return NewKey(KeyId(algorithm), algorithm)


@caught_by("test_published_key_is_listed_by_every_process[ES256]")
class MakesEveryKeyWithOneAlgorithm(InMemorySigningKeys):
    """The operator's choice has no effect."""

    def make_key(self, algorithm: KeyAlgorithm) -> NewKey:
        del algorithm
        return super().make_key("EdDSA")


@caught_by(
    "test_published_key_is_listed_by_every_process",
    "test_key_that_another_process_published_can_be_promoted",
)
class KeepsTheKeysOfOneProcess(InMemorySigningKeys):
    """A server does not sign with the key of a command."""

    def __init__(self, kept: KeptKeys | None = None) -> None:
        del kept
        super().__init__()


@caught_by("test_keys_are_listed_in_the_order_in_which_they_were_published")
class ListsTheNewestKeyFirst(InMemorySigningKeys):
    """A script retires the wrong key."""

    def list_keys(self) -> Sequence[KeyRecord]:
        return super().list_keys()[::-1]


@caught_by("test_retired_key_is_removed")
class ReportsOnlyKeysThatAreThere(InMemorySigningKeys):
    """The end of a key is in no log."""

    def change(self, step: Step, record: Record) -> Sequence[KeyRecord]:
        changed = super().change(step, record)
        return [key for key in changed if key.status is not KeyStatus.REMOVED]


@caught_by("test_change_is_recorded_once_and_after_it_is_stored")
class RecordsAChangeBeforeItIsStored(InMemorySigningKeys):
    """A change that failed is in the audit."""

    def change(self, step: Step, record: Record) -> Sequence[KeyRecord]:
        record(step(self.kept.ring).find_changes(self.kept.ring))
        return super().change(step, lambda _: None)


@caught_by("test_change_is_recorded_before_the_next_change_begins")
class RecordsAChangeWithoutTheLock(InMemorySigningKeys):
    """The audit has the changes of two commands in the wrong order."""

    def change(self, step: Step, record: Record) -> Sequence[KeyRecord]:
        changed = super().change(step, lambda _: None)
        if changed:
            record(changed)
        return changed


@caught_by("test_step_that_changes_nothing_is_not_recorded")
class RecordsEveryStep(InMemorySigningKeys):
    """Each run of cron is a change of keys."""

    def change(self, step: Step, record: Record) -> Sequence[KeyRecord]:
        changed = super().change(step, record)
        if not changed:
            record(changed)
        return changed


@caught_by("test_step_that_raises_changes_and_records_nothing")
class RecordsARefusedStep(InMemorySigningKeys):
    """The audit has changes that never were."""

    def change(self, step: Step, record: Record) -> Sequence[KeyRecord]:
        try:
            return super().change(step, record)
        except InvalidKeyChange:
            record(self.list_keys())
            raise


@caught_by("test_parallel_changes_are_all_stored_and_recorded_in_their_order")
class ChangesWithoutALock(InMemorySigningKeys):
    """One of two commands has no effect."""

    _both_have_read = Barrier(2)

    def change(self, step: Step, record: Record) -> Sequence[KeyRecord]:
        before = self.kept.ring
        self._both_have_read.wait()
        self.kept.ring = step(before)
        changed = self.kept.ring.find_changes(before)
        record(changed)
        return changed


@caught_by("test_imported_key_has_the_same_id_each_time")
class ImportsAKeyUnderANewId(InMemorySigningKeys):
    """A key is published twice."""

    def import_key(self, file: Path) -> NewKey:
        return NewKey(KeyId(secrets.token_hex()), super().import_key(file).algorithm)


@caught_by("test_file_without_a_private_key_is_refused")
class ImportsAnyFile(InMemorySigningKeys):
    """A service signs with an invalid key."""

    def import_key(self, file: Path) -> NewKey:
        return NewKey(KeyId(file.name), "EdDSA")
