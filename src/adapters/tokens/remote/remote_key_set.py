"""Another issuer's keys, fetched from its URL (RFC 7517, section 5)."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection

from ordergate.adapters.tokens.keys.algorithms import PUBLIC_ALGORITHMS
from ordergate.adapters.tokens.keys.jwk import MAX_USABLE_KEYS, KeySet
from ordergate.adapters.tokens.remote.discovery import discover_jwks_uri
from ordergate.adapters.tokens.remote.fetching import TIMEOUT_SECONDS, DocumentFetcher
from ordergate.application.errors import IssuerKeysUnavailable
from ordergate.application.ports.tokens import IssuerKeys, IssuerKeysInspector

FRESH_SECONDS = 300
"""The time after which keys are fetched again."""

STALE_SECONDS = 2 * FRESH_SECONDS
"""The maximum age of keys that are used without waiting for a fetch, while the issuer is reachable.
"""

RETRY_SECONDS = 10
"""The minimum pause after a failed fetch, and between fetches for unknown `kid`s."""

FIRST_RETRY_SECONDS = 1
"""The same pause while there are no keys."""

_log = logging.getLogger("ordergate.keys")


class RemoteKeySet(IssuerKeysInspector):
    """A cached JWK Set that is fetched again in the background.

    It is at `url`, or where the metadata of `issuer` says if `url` is `None`. There is one fetch at
    a time. A request waits for it only if it needs a missing key: the first requests, a token with
    an unknown `kid`, and the first requests after a long pause, in which a key may have been
    withdrawn. Forged tokens cause few fetches. While the issuer is unreachable, or its answer is
    not a valid set, the fetched keys stay in use, and one line of the log marks the beginning and
    the end. `permitted` limits the algorithms. The object belongs to one event loop. `monotonic`
    counts seconds. `timeout` is the limit of a fetch with its discovery, in seconds.
    """

    def __init__(
        self,
        url: str | None,
        *,
        issuer: str = "",
        fetcher: DocumentFetcher | None = None,
        permitted: Collection[str] = PUBLIC_ALGORITHMS,
        monotonic: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._issuer = issuer
        self._fetcher = fetcher or DocumentFetcher()
        self._permitted = permitted
        self._monotonic = monotonic
        self._timeout = timeout
        self._keys: KeySet | None = None
        self._failure: str | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._due = self._unknown_due = self._fetched_at = -float("inf")

    async def keys(self, kid: str | None) -> KeySet:
        """Return the set; fetch it first for an unknown `kid`, if allowed.

        Raises `IssuerKeysUnavailable` without any set, and for an unknown `kid` while the issuer is
        unreachable, because it may have that key by now.
        """
        now = self._monotonic()
        stale = self._failure is None and now >= self._fetched_at + STALE_SECONDS
        missing = not self._has_key(kid) or stale
        if self._fetching is None:
            if now >= self._due:
                self._start(now)
            elif missing and self._keys is not None and now >= self._unknown_due:
                self._unknown_due = now + RETRY_SECONDS
                self._start(now)
        if missing and self._fetching is not None:
            await asyncio.wait([self._fetching])  # a cancelled request does not cancel the fetch
        if self._keys is None or (self._failure is not None and not self._has_key(kid)):
            raise IssuerKeysUnavailable(f"the keys of the issuer: {self._failure}")
        return self._keys

    def fresh(self) -> KeySet | None:
        """Return the set while no fetch is due, else `None`."""
        return self._keys if self._monotonic() < self._due else None

    def inspect(self) -> IssuerKeys:
        """Return the age of the set, and whether the last fetch failed."""
        age = None if self._keys is None else self._monotonic() - self._fetched_at
        return IssuerKeys(age, self._failure is not None)

    def start(self) -> None:
        """Begin the first fetch in the background."""
        if self._fetching is None and self._keys is None:
            self._start(self._monotonic())

    async def close(self) -> None:
        """Cancel a running fetch; may be called twice."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _has_key(self, kid: str | None) -> bool:
        if self._keys is None:
            return False
        return kid is None or any(key.kid == kid for key in self._keys.keys)

    def _start(self, now: float) -> None:
        pause = FIRST_RETRY_SECONDS if self._keys is None else RETRY_SECONDS
        self._due = now + self._timeout + pause  # also after a failure
        self._fetching = asyncio.create_task(self._fetch(pause))

    async def _fetch(self, pause: float) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                keys = await self._download()
        except TimeoutError:
            self._note(f"no whole answer within {self._timeout:g} s")
            self._due = self._monotonic() + pause
        except ValueError as error:
            self._note(str(error))
            self._due = self._monotonic() + pause
        except Exception as error:  # noqa: BLE001 - nothing else would log it, and requests wait
            _log.exception("unexpected_error", extra=self._describe())
            self._note(f"{type(error).__name__}: {error}")
            self._due = self._monotonic() + pause
        else:
            self._note(None)
            self._warn_of_refused_keys(keys)
            if keys != self._keys:  # the same object keeps what is cached by it
                self._keys = keys
            self._fetched_at = self._monotonic()
            self._due = self._monotonic() + FRESH_SECONDS
        finally:
            self._fetching = None

    async def _download(self) -> KeySet:
        """Fetch a JWK Set of public keys. Raises ValueError for another document."""
        url = self._url or await discover_jwks_uri(self._issuer, self._fetcher.fetch)
        document = await self._fetcher.fetch(url)
        if "keys" not in document:
            raise ValueError("the answer is not a JWK Set")
        return KeySet.from_jwks(document, is_published=True, permitted=self._permitted)

    def _warn_of_refused_keys(self, keys: KeySet) -> None:
        """Log the unusable keys, after the first fetch and each change."""
        before = self._keys.refused if self._keys else ()
        if keys.refused and keys.refused != before:
            reasons = list(keys.refused[:MAX_USABLE_KEYS])
            about = {**self._describe(), "usable": len(keys.keys), "left_out": len(keys.refused)}
            _log.warning("keys_left_out", extra={**about, "reasons": reasons})

    def _note(self, failure: str | None) -> None:
        if failure is not None and self._failure is None:
            _log.warning("keys_unavailable", extra={**self._describe(), "reason": failure})
        elif failure is None and self._failure is not None:
            _log.warning("keys_available", extra=self._describe())
        self._failure = failure

    def _describe(self) -> dict[str, object]:
        return {"url": self._url} if self._url else {"issuer": self._issuer}
