"""Signing keys contract."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.domain.errors import UnknownKey
from ordergate.domain.signing_keys import (
    KeyId,
    KeyRecord,
    KeyRing,
    KeySchedule,
    KeyStatus,
    NewKey,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SCHEDULE = KeySchedule(cache_time=timedelta(minutes=5), token_time=timedelta(minutes=15))

Changed = list[Sequence[KeyRecord]]


def publishing(key: NewKey) -> Callable[[KeyRing], KeyRing]:
    return lambda ring: ring.publish(key, NOW)


def publish(keys: SigningKeys) -> KeyRecord:
    (record,) = keys.change(publishing(keys.make_key("EdDSA")), lambda _: None)
    return record


class SigningKeysContract:
    """`SigningKeys`."""

    @pytest.fixture
    def keys(self) -> SigningKeys:
        """Return a key ring without keys."""
        raise NotImplementedError

    def another(self, keys: SigningKeys) -> SigningKeys:
        """Return the same keys as another process sees them."""
        raise NotImplementedError

    @pytest.fixture
    def pem(self) -> Path:
        """Return a PEM file with a private Ed25519 key."""
        raise NotImplementedError

    @pytest.fixture
    def no_pem(self) -> Path:
        """Return a file without a private key."""
        raise NotImplementedError

    def test_key_that_was_only_made_is_not_listed(self, keys: SigningKeys, pem: Path) -> None:
        keys.make_key("EdDSA")
        keys.import_key(pem)
        assert list(keys.list_keys()) == []

    def test_keys_that_are_made_differ(self, keys: SigningKeys) -> None:
        assert keys.make_key("EdDSA").id != keys.make_key("EdDSA").id

    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
    def test_published_key_is_listed_by_every_process(
        self, keys: SigningKeys, algorithm: str
    ) -> None:
        key = keys.make_key("EdDSA" if algorithm == "EdDSA" else "ES256")
        assert key.algorithm == algorithm
        changed = keys.change(publishing(key), lambda _: None)
        assert list(changed) == [KeyRecord(key.id, key.algorithm, KeyStatus.SIGNING, NOW)]
        assert list(keys.list_keys()) == list(changed)
        assert list(self.another(keys).list_keys()) == list(changed)

    def test_keys_are_listed_in_the_order_in_which_they_were_published(
        self, keys: SigningKeys
    ) -> None:
        published = [publish(keys).id for _ in range(5)]
        assert [key.id for key in self.another(keys).list_keys()] == published

    def test_key_that_another_process_published_can_be_promoted(self, keys: SigningKeys) -> None:
        old, new = publish(keys), publish(self.another(keys))
        after = NOW + timedelta(hours=1)
        changed = keys.change(lambda ring: ring.promote(new.id, after, SCHEDULE), lambda _: None)
        assert list(changed) == [
            replace(old, status=KeyStatus.VERIFYING, since=after),
            replace(new, status=KeyStatus.SIGNING, since=after),
        ]

    def test_retired_key_is_removed(self, keys: SigningKeys) -> None:
        old, new = publish(keys), publish(keys)
        changed = keys.change(lambda ring: ring.retire(new.id, NOW, SCHEDULE), lambda _: None)
        assert list(changed) == [replace(new, status=KeyStatus.REMOVED)]
        assert list(self.another(keys).list_keys()) == [old]

    def test_change_is_recorded_once_and_after_it_is_stored(self, keys: SigningKeys) -> None:
        recorded: Changed = []
        listed: Changed = []

        def record(changed: Sequence[KeyRecord]) -> None:
            recorded.append(changed)
            listed.append(self.another(keys).list_keys())

        changed = keys.change(publishing(keys.make_key("EdDSA")), record)
        assert [list(each) for each in recorded] == [list(changed)]
        assert [list(each) for each in listed] == [list(changed)]

    def test_step_that_changes_nothing_is_not_recorded(self, keys: SigningKeys) -> None:
        publish(keys)
        recorded: Changed = []
        assert list(keys.change(lambda ring: ring, recorded.append)) == []
        assert recorded == []

    def test_step_that_raises_changes_and_records_nothing(self, keys: SigningKeys) -> None:
        key = publish(keys)
        recorded: Changed = []
        with pytest.raises(UnknownKey):
            keys.change(lambda ring: ring.retire(KeyId("x"), NOW, SCHEDULE), recorded.append)
        assert recorded == []
        assert list(keys.list_keys()) == [key]
        publish(keys)

    def test_parallel_changes_are_all_stored_and_recorded_in_their_order(
        self, keys: SigningKeys
    ) -> None:
        recorded: list[KeyId] = []

        def publish_one(_: int) -> None:
            other = self.another(keys)
            other.change(
                publishing(other.make_key("EdDSA")), lambda changed: recorded.append(changed[0].id)
            )

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(publish_one, range(16)))
        assert [key.id for key in keys.list_keys()] == recorded
        assert len(recorded) == 16

    def test_change_is_recorded_before_the_next_change_begins(self, keys: SigningKeys) -> None:
        began = Event()

        def begin(ring: KeyRing) -> KeyRing:
            began.set()
            return ring

        def record(_: Sequence[KeyRecord]) -> None:
            others.submit(self.another(keys).change, begin, lambda _: None)
            assert not began.wait(0.2)

        with ThreadPoolExecutor(1) as others:
            keys.change(publishing(keys.make_key("EdDSA")), record)
        assert began.is_set()

    def test_imported_key_has_the_same_id_each_time(self, keys: SigningKeys, pem: Path) -> None:
        key = keys.import_key(pem)
        assert self.another(keys).import_key(pem) == key
        (record,) = keys.change(publishing(key), lambda _: None)
        assert (record.id, record.algorithm) == (key.id, "EdDSA")

    def test_file_without_a_private_key_is_refused(self, keys: SigningKeys, no_pem: Path) -> None:
        with pytest.raises(SigningKeyError, match=f"{no_pem}: "):
            keys.import_key(no_pem)
