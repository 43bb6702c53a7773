"""The file of signing keys: created once, replaced whole, followed everywhere."""

import json
import logging
import multiprocessing
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ordergate.adapters.system.system_clock import SystemClock
from ordergate.adapters.tokens.keys.file_key_ring import LOOK_SECONDS, FileKeyRing
from ordergate.adapters.tokens.keys.jwk import MAX_USABLE_KEYS
from ordergate.adapters.tokens.keys.key_file import MAX_FILE_BYTES
from ordergate.adapters.tokens.keys.signing_key import SigningKey, new_private_key
from ordergate.application.errors import SigningKeyError
from ordergate.application.ports.signing_keys import SigningKeys
from ordergate.application.ports.tokens import PublicKeys
from ordergate.domain.signing_keys import MAX_KEYS, KeyAlgorithm, KeyRecord, KeySchedule
from tests.contracts.public_keys_contract import PublicKeysContract
from tests.contracts.signing_keys_contract import SigningKeysContract
from tests.support.doubles import SettableClock

CLOCK = SettableClock()
SCHEDULE = KeySchedule(cache_time=timedelta(seconds=300), token_time=timedelta(seconds=905))


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
def ring(file: Path, ticks: Ticks) -> FileKeyRing:
    return FileKeyRing(file, clock=SettableClock(), ticks=ticks)


@pytest.fixture
def command(file: Path) -> FileKeyRing:
    """Return the same keys as another process sees them."""
    return FileKeyRing(file, clock=SettableClock())


def kids(ring: FileKeyRing) -> list[str | None]:
    return [key.kid for key in ring.verifying().keys]


def publish(ring: FileKeyRing, algorithm: KeyAlgorithm = "EdDSA") -> KeyRecord:
    key = ring.make_key(algorithm)
    (record,) = ring.change(lambda state: state.publish(key, CLOCK.now()), lambda _: None)
    return record


class TestFileKeyRing(SigningKeysContract):
    @pytest.fixture
    def keys(self, ring: FileKeyRing) -> SigningKeys:
        return ring

    @pytest.fixture(autouse=True)
    def _use_file(self, file: Path) -> None:
        self.file = file

    @pytest.fixture
    def pem(self, tmp_path: Path) -> Path:
        file = tmp_path / "private.pem"
        file.write_bytes(
            new_private_key("EdDSA").private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return file

    @pytest.fixture(params=[None, "", "no key"])
    def no_pem(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        file = tmp_path / "no.pem"
        if request.param is not None:
            file.write_text(request.param)
        return file

    def another(self, keys: SigningKeys) -> SigningKeys:
        return FileKeyRing(self.file, clock=CLOCK)


class TestPublicKeysOfAFile(PublicKeysContract):
    @pytest.fixture
    def keys(self, ring: FileKeyRing) -> PublicKeys:
        publish(ring, "EdDSA")
        publish(ring, "ES256")
        publish(ring, "RS256")
        return ring


def test_key_set_holds_as_many_keys_as_a_ring() -> None:
    assert MAX_KEYS <= MAX_USABLE_KEYS


def test_first_use_creates_a_key_that_later_uses_keep(
    file: Path, ring: FileKeyRing, command: FileKeyRing
) -> None:
    first = ring.signing()
    assert first.algorithm == "ES256"
    assert command.signing().kid == first.kid
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.lock"]


def test_key_file_is_a_jwk_set_with_the_status_of_each_key(file: Path, ring: FileKeyRing) -> None:
    first = ring.signing()
    second = publish(ring, "EdDSA")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    old, new = json.loads(file.read_text())["keys"]
    assert old == first.private_jwk() | {"status": "signing", "since": "2026-05-01T12:00:00Z"}
    assert (new["kid"], new["alg"]) == (second.id, "EdDSA")
    assert (new["status"], new["since"]) == ("published", "2026-05-01T12:00:00Z")
    assert set(old) == {"kty", "crv", "x", "y", "d", "kid", "alg", "use", "status", "since"}


def _kid(file: Path) -> str:
    return FileKeyRing(file, clock=SystemClock()).signing().kid


def test_parallel_processes_agree_on_one_key(file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_kid, [file] * 16, chunksize=1))) == 1


def _publish(file: Path) -> str:
    return publish(FileKeyRing(file, clock=SystemClock())).id


def test_parallel_commands_lose_no_change(file: Path, ring: FileKeyRing) -> None:
    first = ring.signing().kid
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        published = pool.map(_publish, [file] * 16, chunksize=1)
    assert {key.id for key in ring.list_keys()} == {first, *published}


def test_change_is_read_within_a_second(
    ring: FileKeyRing, command: FileKeyRing, ticks: Ticks
) -> None:
    before = ring.verifying()
    new = publish(command)
    ticks.now += LOOK_SECONDS - 0.01
    assert ring.verifying() is before
    ticks.now += 0.01
    assert kids(ring) == [before.keys[0].kid, new.id]
    command.change(
        lambda state: state.promote(new.id, CLOCK.now(), SCHEDULE, early=True), lambda _: None
    )
    ticks.now += LOOK_SECONDS
    assert ring.signing().kid == new.id
    assert len(ring.jwks()["keys"]) == 2


def test_change_is_read_immediately_on_request(ring: FileKeyRing, command: FileKeyRing) -> None:
    before = ring.verifying()
    assert ring.verifying(newest=True) is before
    new = publish(command)
    assert ring.verifying(newest=True).keys[1].kid == new.id


def test_unchanged_keys_are_not_read_again(ring: FileKeyRing, ticks: Ticks) -> None:
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
    file: Path, ring: FileKeyRing, ticks: Ticks, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, good = ring.verifying(), file.read_text()
    file.write_text(content)
    for _ in range(3):
        ticks.now += LOOK_SECONDS
        assert ring.verifying() is before
        assert ring.verifying(newest=True) is before
    logged = [(record.name, record.levelno) for record in caplog.records]
    assert logged == [("ordergate.keys", logging.WARNING)]
    file.write_text(good)
    ticks.now += LOOK_SECONDS
    assert kids(ring) == [before.keys[0].kid]


def test_keys_are_kept_when_the_path_is_not_a_file(
    file: Path, ring: FileKeyRing, ticks: Ticks
) -> None:
    before = ring.verifying()
    file.unlink()
    os.mkfifo(file)
    ticks.now += LOOK_SECONDS
    assert ring.verifying() is before


def test_link_to_the_file_is_kept(file: Path, ring: FileKeyRing, command: FileKeyRing) -> None:
    ring.verifying()
    elsewhere = file.parent / "elsewhere.json"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    publish(command)
    assert file.is_symlink()
    assert len(command.list_keys()) == 2
    assert elsewhere.stat().st_mode & 0o777 == 0o600


def test_file_readable_by_others_is_reported(
    file: Path, ring: FileKeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    ring.verifying()
    assert not caplog.records
    file.chmod(0o640)
    ring.verifying(newest=True)
    file.touch()
    ring.verifying(newest=True)
    assert "keys_open_to_others" in [record.getMessage() for record in caplog.records]


def test_keys_are_kept_when_the_file_is_missing_for_a_moment(
    file: Path, ring: FileKeyRing, ticks: Ticks
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
        ("status", "removed"),
        ("status", "sleeping"),
        ("since", "yesterday"),
        ("since", "2026-05-01T12:00:00"),
        ("since", None),
        ("kid", "another"),
        ("alg", "EdDSA"),
        ("alg", "none"),
        ("d", "AAAA"),
        ("d", 5),
        ("kty", "oct"),
    ],
)
def test_invalid_file_is_reported_before_serving(
    file: Path, ring: FileKeyRing, command: FileKeyRing, member: str, value: object
) -> None:
    secret = ring.signing().private_jwk()["d"]
    document = json.loads(file.read_text())
    document["keys"][0][member] = value
    file.write_text(json.dumps(document))
    with pytest.raises(SigningKeyError, match="cannot be read: ") as refusal:
        command.signing()
    assert secret not in str(refusal.value)
    with pytest.raises(SigningKeyError, match="cannot be read: "):
        publish(command)
    assert json.loads(file.read_text()) == document


def test_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ring = FileKeyRing(tmp_path / "file" / "keys.json", clock=SettableClock())
    with pytest.raises(SigningKeyError, match="Not a directory"):
        ring.signing()


def test_leftovers_of_a_killed_command_are_harmless(file: Path, ring: FileKeyRing) -> None:
    ring.signing()
    file.with_name(f".{file.name}.draft").write_text("half a k")
    publish(ring)
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.lock"]


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_key_comes_back_from_the_file_as_it_was(
    file: Path, ring: FileKeyRing, command: FileKeyRing, algorithm: KeyAlgorithm
) -> None:
    made = publish(ring, algorithm)
    (written,) = json.loads(file.read_text())["keys"]
    assert command.signing().private_jwk().items() <= written.items()
    assert SigningKey.from_jwk(written).kid == made.id == command.signing().kid
