"""Keys of another issuer, fetched from a real one on loopback."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ordergate.adapters.tokens.remote.fetching import MAX_BYTES, DocumentFetcher
from ordergate.adapters.tokens.remote.remote_key_set import (
    FIRST_RETRY_SECONDS,
    FRESH_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    RemoteKeySet,
)
from ordergate.application.errors import IssuerKeysUnavailable
from tests.support.program.command import SECONDS, wait_until
from tests.support.tokens.jose import SECRET, public_jwk, to_jwk
from tests.support.tokens.oidc_issuer import Issuer, running_issuer, serve_by_tls


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def remote(issuer: Issuer, seconds: Seconds) -> AsyncIterator[RemoteKeySet]:
    remote = RemoteKeySet(issuer.url, monotonic=seconds)
    yield remote
    await remote.close()


def newest(issuer: Issuer) -> str:
    return str(issuer.keys[-1]["kid"])


async def kids(remote: RemoteKeySet, kid: str | None = None) -> list[str | None]:
    return [key.kid for key in (await remote.keys(kid)).keys]


async def fetched(remote: RemoteKeySet) -> None:
    """Wait for the fetch under way, if there is one."""
    if remote._fetching is not None:
        await asyncio.wait_for(asyncio.wait([remote._fetching]), SECONDS)


async def test_keys_are_fetched_once_for_parallel_requests(
    remote: RemoteKeySet, issuer: Issuer
) -> None:
    sets = await asyncio.gather(*(kids(remote) for _ in range(50)))
    assert sets == [[newest(issuer)]] * 50
    assert issuer.fetches == 1


async def test_keys_are_not_fetched_before_the_first_request(
    remote: RemoteKeySet, issuer: Issuer
) -> None:
    assert issuer.fetches == 0


async def test_fresh_keys_are_not_fetched_again(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    old = await kids(remote)
    issuer.rotate()
    seconds.now += FRESH_SECONDS - 1
    assert await kids(remote) == old
    assert remote._fetching is None


async def test_stale_keys_are_used_while_new_ones_are_fetched(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    old = await kids(remote)
    issuer.rotate()
    seconds.now += FRESH_SECONDS
    assert await asyncio.gather(*(kids(remote) for _ in range(50))) == [old] * 50
    await fetched(remote)
    assert await kids(remote) == [newest(issuer)]
    assert issuer.fetches == 2


async def test_withdrawn_key_is_not_used_after_a_long_pause(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    await kids(remote)
    issuer.rotate()
    seconds.now += STALE_SECONDS
    assert await asyncio.gather(*(kids(remote) for _ in range(50))) == [[newest(issuer)]] * 50
    assert issuer.fetches == 2


async def test_unknown_kid_causes_a_fetch(remote: RemoteKeySet, issuer: Issuer) -> None:
    await kids(remote)
    issuer.rotate()
    assert await kids(remote, newest(issuer)) == [newest(issuer)]
    assert issuer.fetches == 2


async def test_forged_kids_do_not_hammer_the_issuer(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    known = await kids(remote)
    for _ in range(2):
        sets = await asyncio.gather(*(kids(remote, f"forged {i}") for i in range(50)))
        assert sets == [known] * 50
    assert issuer.fetches == 2
    seconds.now += RETRY_SECONDS
    await kids(remote, "forged")
    assert issuer.fetches == 3


async def test_fetch_continues_when_its_caller_is_cancelled(
    remote: RemoteKeySet, issuer: Issuer
) -> None:
    issuer.hang = True
    waiting = [asyncio.create_task(kids(remote)) for _ in range(2)]
    await asyncio.to_thread(wait_until, lambda: issuer.fetches > 0)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    issuer.released.set()
    assert await waiting[1] == [newest(issuer)]
    assert issuer.fetches == 1


async def test_keys_are_used_while_the_issuer_is_down(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    known = await kids(remote)
    issuer.status = 500
    for _ in range(3):
        seconds.now += FRESH_SECONDS
        assert await kids(remote, known[0]) == known
        await fetched(remote)
    assert issuer.fetches == 4
    assert await kids(remote, known[0]) == known
    assert remote._fetching is None, "it was asked a moment ago"


async def test_unknown_kid_is_unavailable_while_the_issuer_is_down(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    await kids(remote)
    issuer.status = 500
    for _ in range(2):
        with pytest.raises(IssuerKeysUnavailable, match="the status is 500"):
            await kids(remote, "new")
    assert issuer.fetches == 2
    issuer.status = 200
    issuer.rotate()
    seconds.now += RETRY_SECONDS
    assert await kids(remote, newest(issuer)) == [newest(issuer)]


async def test_keys_state_their_age_and_whether_fetches_fail(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    assert remote.inspect() == (None, False)
    issuer.status = 500
    with pytest.raises(IssuerKeysUnavailable):
        await kids(remote)
    assert remote.inspect() == (None, True)
    issuer.status = 200
    seconds.now += RETRY_SECONDS
    await kids(remote)
    assert remote.inspect() == (0, False)
    issuer.status = 500
    seconds.now += FRESH_SECONDS
    await kids(remote)
    assert remote.inspect() == (FRESH_SECONDS, False)
    await fetched(remote)
    assert remote.inspect() == (FRESH_SECONDS, True)


async def test_unreachable_issuer_is_retried_every_second(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    issuer.status = 503
    for _ in range(5):
        with pytest.raises(IssuerKeysUnavailable, match="the status is 503"):
            await kids(remote)
    assert issuer.fetches == 1
    issuer.status = 200
    seconds.now += FIRST_RETRY_SECONDS
    assert await kids(remote) == [newest(issuer)]


async def test_keys_are_unavailable_when_the_port_is_closed() -> None:
    with running_issuer() as issuer:
        pass
    with pytest.raises(IssuerKeysUnavailable, match="ConnectError"):
        await RemoteKeySet(issuer.url).keys(None)


async def test_slow_issuer_is_abandoned_at_the_time_limit(issuer: Issuer) -> None:
    remote = RemoteKeySet(issuer.url, timeout=0.1)
    issuer.hang = True
    with pytest.raises(IssuerKeysUnavailable, match=r"no whole answer within 0\.1 s"):
        await remote.keys(None)


async def test_log_reports_when_keys_become_unavailable_and_available(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    for status in (500, 404, 200, 200):
        issuer.status = status
        seconds.now += FRESH_SECONDS
        try:
            await remote.keys(None)
        except IssuerKeysUnavailable:
            assert status != 200
        await fetched(remote)
    lines = [record for record in caplog.records if record.name == "ordergate.keys"]
    assert [line.getMessage() for line in lines] == ["keys_unavailable", "keys_available"]
    assert {line.levelno for line in lines} == {logging.WARNING}
    assert vars(lines[0])["reason"] == "the status is 500"
    assert vars(lines[0])["url"] == issuer.url


KEY = public_jwk("EdDSA", kid="a")


@pytest.mark.parametrize(
    "document",
    [
        {"keys": KEY},
        {"keys": None},
        {"error": "not today"},
        KEY,
        [KEY],
        "keys",
    ],
    ids=range(6),
)
async def test_unusable_key_set_changes_nothing(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds, document: object
) -> None:
    issuer.body = json.dumps(document).encode()
    with pytest.raises(IssuerKeysUnavailable):
        await remote.keys(None)
    issuer.body = None
    seconds.now += FIRST_RETRY_SECONDS
    known = await kids(remote)
    issuer.body = json.dumps(document).encode()
    seconds.now += FRESH_SECONDS
    await remote.keys(None)
    await fetched(remote)
    assert await kids(remote) == known


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"<html>",
        b'{"keys": [], "keys": []}',
        b"[" * 100_000,
        b'{"keys": [' + b" " * MAX_BYTES + b"]}",
    ],
    ids=range(6),
)
async def test_malformed_key_set_is_refused(
    remote: RemoteKeySet, issuer: Issuer, body: bytes
) -> None:
    issuer.body = body
    with pytest.raises(IssuerKeysUnavailable):
        await remote.keys(None)


async def test_endless_answer_is_abandoned(remote: RemoteKeySet, issuer: Issuer) -> None:
    issuer.body = b" " * (64 * MAX_BYTES)
    with pytest.raises(IssuerKeysUnavailable, match=f"more than {MAX_BYTES} bytes"):
        await remote.keys(None)


async def test_unrequested_gzip_is_decompressed(remote: RemoteKeySet, issuer: Issuer) -> None:
    issuer.body = gzip.compress(json.dumps({"keys": issuer.keys}).encode())
    issuer.headers = {"Content-Encoding": "gzip"}
    assert await kids(remote) == [newest(issuer)]


BOMB = gzip.compress(b" " * (64 * MAX_BYTES), mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", BOMB, f"more than {MAX_BYTES} bytes"),
        ("gzip", BOMB[:-9], f"more than {MAX_BYTES} bytes"),
        ("gzip", gzip.compress(b'{"keys": []}', mtime=0)[:-9], "cut short"),
        ("gzip", b'{"keys": []}', "not gzip"),
        ("br", b"x", "the Content-Encoding 'br'"),
        ("gzip, gzip", b"x", "the Content-Encoding 'gzip, gzip'"),
    ],
    ids=["bomb", "cut bomb", "cut", "plain", "br", "twice"],
)
async def test_other_compression_is_refused(
    remote: RemoteKeySet, issuer: Issuer, encoding: str, body: bytes, reason: str
) -> None:
    issuer.body, issuer.headers = body, {"Content-Encoding": encoding}
    with pytest.raises(IssuerKeysUnavailable, match=reason):
        await remote.keys(None)


async def test_unexpected_error_is_the_reason_and_ends_no_later_fetch(issuer: Issuer) -> None:
    class FailingFetcher(DocumentFetcher):
        async def fetch(self, url: str) -> dict[str, object]:
            if not issuer.fetches:
                issuer.fetches += 1
                raise RuntimeError("not expected")
            return await super().fetch(url)

    seconds = Seconds()
    remote = RemoteKeySet(issuer.url, fetcher=FailingFetcher(), monotonic=seconds)
    with pytest.raises(IssuerKeysUnavailable, match="RuntimeError: not expected"):
        await remote.keys(None)
    seconds.now += FIRST_RETRY_SECONDS
    assert await kids(remote) == [newest(issuer)]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_not_followed(remote: RemoteKeySet, issuer: Issuer, status: int) -> None:
    issuer.status, issuer.headers = status, {"Location": "/elsewhere"}
    reason = f"the status is {status}, a redirect to '/elsewhere', which is not followed"
    with pytest.raises(IssuerKeysUnavailable, match=reason):
        await remote.keys(None)
    assert issuer.fetches == 1


async def test_unusable_keys_are_left_out(remote: RemoteKeySet, issuer: Issuer) -> None:
    issuer.keys.append(public_jwk("RS256", kid="enc", use="enc"))
    issuer.keys.append({"kty": "EC", "crv": "secp256k1", "kid": "another curve"})
    issuer.keys.append(to_jwk(SECRET))
    assert await kids(remote) == [issuer.keys[0]["kid"]]


async def test_algorithms_of_keys_can_be_limited(issuer: Issuer) -> None:
    issuer.keys = [public_jwk("RS256", kid="rsa"), public_jwk("EdDSA", kid="edwards")]
    limited = await RemoteKeySet(issuer.url, permitted=["RS256"]).keys(None)
    assert [(key.kid, key.algorithms) for key in limited.keys] == [("rsa", frozenset({"RS256"}))]


async def test_keys_that_are_left_out_are_logged_once_and_after_a_change(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.keys.append(public_jwk("RS256", kid="enc", use="enc"))
    for change in ([], [], [public_jwk("ES256", kid="new", alg="ECDH-ES")]):
        issuer.keys += change
        await kids(remote)
        seconds.now += FRESH_SECONDS
        await kids(remote)
        await fetched(remote)
    lines = [vars(line) for line in caplog.records if line.getMessage() == "keys_left_out"]
    assert [line["reasons"] for line in lines] == [
        ["key 1, kid 'enc': use is not sig"],
        [
            "key 1, kid 'enc': use is not sig",
            "key 2, kid 'new': alg is not ES256, as for keys of this kind",
        ],
    ]
    assert [(line["usable"], line["left_out"]) for line in lines] == [(1, 1), (1, 2)]
    assert {(line["levelname"], line["url"]) for line in lines} == {("WARNING", issuer.url)}


async def test_unchanged_keys_stay_the_same_object(
    remote: RemoteKeySet, issuer: Issuer, seconds: Seconds
) -> None:
    """Verified tokens are cached by it."""
    before = await remote.keys(None)
    seconds.now += FRESH_SECONDS
    await remote.keys(None)
    await fetched(remote)
    assert issuer.fetches == 2
    assert await remote.keys(None) is before


async def test_pending_fetch_ends_when_the_set_is_closed(
    remote: RemoteKeySet, issuer: Issuer
) -> None:
    issuer.hang = True
    waiting = asyncio.create_task(kids(remote))
    await asyncio.to_thread(wait_until, lambda: issuer.fetches > 0)
    await remote.close()
    await remote.close()
    with pytest.raises(IssuerKeysUnavailable):
        await waiting


@pytest.mark.parametrize("trusted", [True, False])
async def test_issuer_requires_a_trusted_certificate(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    file = serve_by_tls(issuer, tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    remote = RemoteKeySet(issuer.url)
    if trusted:
        assert await kids(remote) == [newest(issuer)]
    else:
        with pytest.raises(IssuerKeysUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await remote.keys(None)
