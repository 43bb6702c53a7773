from datetime import timedelta
from pathlib import Path

import pytest

from ordergate.application.errors import SigningKeyError
from ordergate.application.keys.import_signing_key import ImportSigningKey
from ordergate.application.keys.key_changes import KeyChanges
from ordergate.application.keys.list_signing_keys import ListSigningKeys
from ordergate.application.keys.promote_signing_key import PromoteSigningKey
from ordergate.application.keys.publish_signing_key import PublishSigningKey
from ordergate.application.keys.retire_signing_key import RetireSigningKey
from ordergate.application.keys.rotate_signing_keys import RotateSigningKeys, Rotation
from ordergate.domain.errors import InvalidKeyChange, KeyAlreadyPresent, KeyChangeTooEarly
from ordergate.domain.signing_keys import KeySchedule, KeyStatus
from tests.support.doubles import InMemorySigningKeys, RecordedAudit, SettableClock

CACHE_TIME, TOKEN_TIME = timedelta(seconds=300), timedelta(seconds=905)


class KeyHarness:
    """The use cases of signing keys around keys in memory."""

    def __init__(self) -> None:
        self.clock = SettableClock()
        self.audit = RecordedAudit()
        keys = InMemorySigningKeys()
        changes = KeyChanges(keys, self.clock, KeySchedule(CACHE_TIME, TOKEN_TIME), self.audit)
        self.list = ListSigningKeys(keys)
        self.publish = PublishSigningKey(changes)
        self.import_key = ImportSigningKey(changes)
        self.promote = PromoteSigningKey(changes)
        self.retire = RetireSigningKey(changes)
        self.rotate = RotateSigningKeys(changes)

    def statuses(self) -> list[str]:
        return [key.status.value for key in self.list()]


@pytest.fixture
def harness() -> KeyHarness:
    return KeyHarness()


def test_publish_returns_when_the_key_may_sign(harness: KeyHarness) -> None:
    (first,) = harness.publish("ES256")
    assert (first.key.algorithm, first.key.status, first.due) == ("ES256", KeyStatus.SIGNING, None)
    (second,) = harness.publish("EdDSA")
    assert second.due == harness.clock.now() + 2 * CACHE_TIME
    assert [each.key for each in (first, second)] == list(harness.list())


def test_publish_keeps_the_algorithm_of_the_signing_key(harness: KeyHarness) -> None:
    """The verifiers of a service may accept no other algorithm."""
    harness.publish("EdDSA")
    (new,) = harness.publish()
    assert new.key.algorithm == "EdDSA"
    (other,) = harness.publish("ES256")
    harness.promote(other.key.id, early=True)
    (newest,) = harness.publish()
    assert newest.key.algorithm == "ES256"


def test_first_key_signs_with_es256(harness: KeyHarness) -> None:
    (first,) = harness.publish()
    assert (first.key.algorithm, first.key.status) == ("ES256", KeyStatus.SIGNING)


def test_promote_waits_until_every_verifier_knows_the_key(harness: KeyHarness) -> None:
    (old,) = harness.publish("EdDSA")
    (new,) = harness.publish("EdDSA")
    with pytest.raises(KeyChangeTooEarly):
        harness.promote(new.key.id)
    harness.clock.advance(seconds=600)
    verifying, signing = harness.promote(new.key.id)
    assert (verifying.key.id, verifying.due) == (old.key.id, harness.clock.now() + TOKEN_TIME)
    assert (signing.key.id, signing.due) == (new.key.id, None)


def test_promote_and_retire_take_an_early_step_on_demand(harness: KeyHarness) -> None:
    (old,) = harness.publish("EdDSA")
    (new,) = harness.publish("EdDSA")
    harness.promote(new.key.id, early=True)
    with pytest.raises(KeyChangeTooEarly):
        harness.retire(old.key.id)
    (gone,) = harness.retire(old.key.id, early=True)
    assert (gone.key.id, gone.key.status, gone.due) == (old.key.id, KeyStatus.REMOVED, None)
    assert harness.statuses() == ["signing"]


def test_retire_waits_until_the_tokens_of_a_key_have_expired(harness: KeyHarness) -> None:
    (old,) = harness.publish("EdDSA")
    harness.rotate(early=True)
    harness.clock.advance(seconds=904)
    with pytest.raises(KeyChangeTooEarly):
        harness.retire(old.key.id)
    harness.clock.advance(seconds=1)
    harness.retire(old.key.id)
    assert harness.statuses() == ["signing"]


def test_import_publishes_the_key_of_a_file_once(harness: KeyHarness) -> None:
    file = Path("private.pem")
    with pytest.raises(SigningKeyError):
        harness.import_key(Path("notes.txt"))
    (key,) = harness.import_key(file)
    with pytest.raises(KeyAlreadyPresent):
        harness.import_key(file)
    assert [each.id for each in harness.list()] == [key.key.id]


def test_rotate_returns_when_the_next_step_is_due(harness: KeyHarness) -> None:
    first = harness.rotate()
    assert [each.key.status for each in first.changed] == [KeyStatus.SIGNING]
    assert first.next_due is None
    second = harness.rotate()
    (published,) = second.changed
    assert second.next_due == published.due == harness.clock.now() + 2 * CACHE_TIME
    assert harness.rotate() == Rotation([], second.next_due)
    harness.clock.advance(seconds=600)
    assert harness.rotate().next_due == harness.clock.now() + TOKEN_TIME
    assert harness.statuses() == ["verifying", "signing"]


def test_every_change_of_a_key_is_recorded_in_order(harness: KeyHarness) -> None:
    (first,) = harness.publish("EdDSA")
    (second,) = harness.publish("EdDSA")
    harness.promote(second.key.id, early=True)
    harness.retire(first.key.id, early=True)
    with pytest.raises(InvalidKeyChange):
        harness.retire(second.key.id, early=True)
    assert [(key.id, key.status.value) for key in harness.audit.keys] == [
        (first.key.id, "signing"),
        (second.key.id, "published"),
        (first.key.id, "verifying"),
        (second.key.id, "signing"),
        (first.key.id, "removed"),
    ]
