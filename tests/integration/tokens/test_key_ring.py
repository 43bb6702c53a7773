"""The file of signing keys: made once, changed as a whole, followed by whoever runs."""

import json
import logging
import multiprocessing
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from ordergate.adapters.system.system_clock import SystemClock
from ordergate.adapters.tokens.keys.jwk import Algorithm
from ordergate.adapters.tokens.keys.key_life import Status
from ordergate.adapters.tokens.keys.key_ring import LOOK_SECONDS, MAX_FILE_BYTES, KeyRing
from ordergate.adapters.tokens.keys.signing_key import SigningKey
from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.tokens import PublicKeys
from tests.contracts.public_keys_contract import PublicKeysContract
from tests.support.doubles import SettableClock

LIFE = timedelta(seconds=905)


class Ticks:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "signing-keys.json"


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def ring(file: Path, ticks: Ticks) -> KeyRing:
    return KeyRing(file, clock=SettableClock(), token_life=LIFE, ticks=ticks)


@pytest.fixture
def command(file: Path) -> KeyRing:
    """Return the same keys as another process sees them."""
    return KeyRing(file, clock=SettableClock(), token_life=LIFE)


def kids(ring: KeyRing) -> list[str | None]:
    return [key.kid for key in ring.verifying().keys]


class TestKeyRing(PublicKeysContract):
    @pytest.fixture
    def keys(self, ring: KeyRing) -> PublicKeys:
        ring.publish("EdDSA")
        ring.publish("ES256")
        ring.publish("RS256")
        return ring


def test_first_use_creates_a_key_that_later_uses_keep(
    file: Path, ring: KeyRing, command: KeyRing
) -> None:
    first = ring.signing()
    assert first.algorithm == "EdDSA"
    assert command.signing().kid == first.kid
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.lock"]


def test_key_file_is_a_jwk_set_with_the_status_of_each_key(file: Path, ring: KeyRing) -> None:
    first = ring.signing()
    (second,) = ring.publish("ES256")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    old, new = json.loads(file.read_text())["keys"]
    assert old == first.private_jwk() | {"status": "signing", "since": "2026-05-01T12:00:00Z"}
    assert new == second.key.private_jwk() | {
        "status": "published",
        "since": "2026-05-01T12:00:00Z",
    }
    assert set(old) == {"kty", "crv", "x", "d", "kid", "alg", "use", "status", "since"}


def _kid(file: Path) -> str:
    return KeyRing(file, clock=SystemClock(), token_life=LIFE).signing().kid


def test_parallel_processes_agree_on_one_key(file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_kid, [file] * 16, chunksize=1))) == 1


def _publish(file: Path) -> str:
    return KeyRing(file, clock=SystemClock(), token_life=LIFE).publish("EdDSA")[0].kid


def test_parallel_commands_lose_no_change(file: Path, ring: KeyRing) -> None:
    first = ring.signing().kid
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        published = pool.map(_publish, [file] * 16, chunksize=1)
    assert {key.kid for key in ring.all_keys()} == {first, *published}


def test_change_is_read_within_a_second(ring: KeyRing, command: KeyRing, ticks: Ticks) -> None:
    before = ring.verifying()
    (new,) = command.publish("EdDSA")
    ticks.now += LOOK_SECONDS - 0.01
    assert ring.verifying() is before
    ticks.now += 0.01
    assert kids(ring) == [before.keys[0].kid, new.kid]
    command.promote(new.kid, early=True)
    ticks.now += LOOK_SECONDS
    assert ring.signing().kid == new.kid
    assert len(ring.jwks()["keys"]) == 2


def test_change_is_read_immediately_on_request(ring: KeyRing, command: KeyRing) -> None:
    before = ring.verifying()
    assert ring.verifying(newest=True) is before
    (new,) = command.publish("EdDSA")
    assert ring.verifying(newest=True).keys[1].kid == new.kid


def test_unchanged_keys_are_not_read_again(ring: KeyRing, ticks: Ticks) -> None:
    before = ring.verifying()
    ticks.now += LOOK_SECONDS
    assert ring.verifying() is before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [1]}',
        '{"keys": [{}]}',
        '{"keys": [{"status": "signing", "since": "2026-05-01T12:00:00Z", "alg": "EdDSA"}]}',
        '{"keys": [{"status": "signing", "since": "2026-05-01", "alg": "EdDSA"}]}',
        '{"keys": [{"status": "signing", "since": "0001-01-01T00:00:00+23:59"}]}',
        " " * (MAX_FILE_BYTES + 1),
    ],
    ids=lambda content: content[:60],
)
def test_keys_are_kept_when_the_file_is_broken_for_a_moment(
    file: Path, ring: KeyRing, ticks: Ticks, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, good = ring.verifying(), file.read_text()
    file.write_text(content)
    for _ in range(3):
        ticks.now += LOOK_SECONDS
        assert ring.verifying() is before
        assert ring.verifying(newest=True) is before
    told = [(record.name, record.levelno) for record in caplog.records]
    assert told == [("ordergate.keys", logging.WARNING)]
    file.write_text(good)
    ticks.now += LOOK_SECONDS
    assert kids(ring) == [before.keys[0].kid]


def test_keys_are_kept_when_the_path_is_not_a_file(file: Path, ring: KeyRing, ticks: Ticks) -> None:
    before = ring.verifying()
    file.unlink()
    os.mkfifo(file)
    ticks.now += LOOK_SECONDS
    assert ring.verifying() is before


def test_link_to_the_file_is_kept(file: Path, ring: KeyRing, command: KeyRing) -> None:
    ring.verifying()
    elsewhere = file.parent / "elsewhere.json"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    command.publish("EdDSA")
    assert file.is_symlink()
    assert len(command.all_keys()) == 2
    assert elsewhere.stat().st_mode & 0o777 == 0o600


def test_file_readable_by_others_is_reported(
    file: Path, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    ring.verifying()
    assert not caplog.records
    file.chmod(0o640)
    ring.verifying(newest=True)
    file.touch()
    ring.verifying(newest=True)
    assert "keys_open_to_others" in [record.getMessage() for record in caplog.records]


def test_keys_are_kept_when_the_file_is_missing_for_a_moment(
    file: Path, ring: KeyRing, ticks: Ticks
) -> None:
    before, good = ring.verifying(), file.read_text()
    file.unlink()
    ticks.now += LOOK_SECONDS
    assert ring.verifying() is before
    file.write_text(good)
    ticks.now += LOOK_SECONDS
    assert kids(ring) == [before.keys[0].kid]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("status", "gone"),
        ("status", "sleeping"),
        ("since", "yesterday"),
        ("since", "2026-05-01T12:00:00"),
        ("since", None),
        ("kid", "another"),
        ("alg", "ES256"),
        ("alg", "none"),
        ("d", "AAAA"),
        ("d", 5),
        ("kty", "oct"),
    ],
)
def test_invalid_file_is_reported_before_serving(
    file: Path, ring: KeyRing, command: KeyRing, member: str, value: object
) -> None:
    secret = ring.signing().private_jwk()["d"]
    document = json.loads(file.read_text())
    document["keys"][0][member] = value
    file.write_text(json.dumps(document))
    with pytest.raises(SigningKeyError, match="cannot be read: ") as refusal:
        command.signing()
    assert secret not in str(refusal.value)
    with pytest.raises(SigningKeyError, match="cannot be read: "):
        command.publish("EdDSA")
    assert json.loads(file.read_text()) == document


def test_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ring = KeyRing(tmp_path / "file" / "keys.json", clock=SettableClock(), token_life=LIFE)
    with pytest.raises(SigningKeyError, match="Not a directory"):
        ring.signing()


def test_leftovers_of_a_killed_command_are_harmless(file: Path, ring: KeyRing) -> None:
    ring.signing()
    file.with_name(f".{file.name}.draft").write_text("half a k")
    ring.publish("EdDSA")
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.lock"]


def test_changes_of_keys_are_audited(ring: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ordergate.audit")
    (first,) = (key.kid for key in ring.publish("EdDSA"))
    (second,) = (key.kid for key in ring.publish("EdDSA"))
    changed = ring.promote(second, early=True)
    assert [key.status for key in changed] == [Status.VERIFYING, Status.SIGNING]
    ring.retire(first, early=True)
    recorded = [
        (record.name, record.message, record.__dict__["kid"], record.__dict__["status"])
        for record in caplog.records
    ]
    assert recorded == [
        ("ordergate.audit", "key_rotated", kid, status)
        for kid, status in [
            (first, "signing"),
            (second, "published"),
            (first, "verifying"),
            (second, "signing"),
            (first, "gone"),
        ]
    ]


def test_retired_key_is_kept_until_every_process_has_noticed(file: Path) -> None:
    clock = SettableClock()
    ring = KeyRing(file, clock=clock, token_life=LIFE)
    old = ring.signing().kid
    ring.rotate(early=True)
    clock.advance(seconds=LIFE.total_seconds() + LOOK_SECONDS)
    with pytest.raises(SigningKeyError, match="are good until"):
        ring.retire(old)
    clock.advance(seconds=1)
    assert [(key.kid, key.status) for key in ring.retire(old)] == [(old, Status.GONE)]


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_key_is_read_from_the_file_unchanged(ring: KeyRing, algorithm: Algorithm) -> None:
    (made,) = ring.publish(algorithm)
    (read,) = ring.all_keys()
    assert read.key.private_jwk() == made.key.private_jwk()
    assert SigningKey.from_jwk(made.key.private_jwk()).kid == made.kid
