"""Fetching of JSON documents, with limits for time, size and addresses."""

import ssl
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

import httpx2

from ordergate.adapters.system.tracing import CURRENT, Span
from ordergate.adapters.tokens.keys.encoding import parse_json_object
from ordergate.application.issuer_address import find_address_error, is_loopback

TIMEOUT_SECONDS = 5.0
"""The time limit of a fetch of keys, from the host look-up to the last byte."""

MAX_BYTES = 262_144
"""The maximum size of an answer, also after decompression. Reading it blocks the event loop."""

PROXY_OF_ENVIRONMENT = "environment"
"""The `proxy` that takes `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment."""

_UNUSABLE_PROXY = (
    "the proxy is not usable: its URL must look like http://name:password@proxy.example:3128, also"
    " in HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; SOCKS is not supported"
)
_MAX_LOCATION_LENGTH = 255
_PORTS = {"http": 80, "https": 443}
_GZIP = 31
"""The window size that makes zlib read gzip (RFC 1952)."""


class FetchError(ValueError):
    """A document cannot be fetched; the message says why."""


class MissingDocument(FetchError):
    """The server answered with another status than 200."""


@dataclass(frozen=True)
class DocumentFetcher:
    """Fetches JSON objects of issuers.

    `proxy` is the URL of a proxy, or `PROXY_OF_ENVIRONMENT`. Requests to this computer never use
    it: its owner could answer them with keys of its own. Documents come by plain http only from
    this computer and `plain_http_hosts`. Redirects are not followed. `timeout` is the limit of each
    wait for the network, in seconds.
    """

    plain_http_hosts: Collection[str] = ()
    proxy: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT_SECONDS

    async def fetch(self, url: str) -> dict[str, object]:
        """Return the JSON object at a URL. Raises `FetchError`."""
        if flaw := find_address_error(url, self.plain_http_hosts):
            raise FetchError(f"the address {url[:_MAX_LOCATION_LENGTH]!r} {flaw}")
        try:
            return parse_json_object(await self._download(url))
        except FetchError:
            raise
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise FetchError(f"{type(error).__name__}: {error}") from None

    async def _download(self, url: str) -> bytes:
        """Download a document, within a span of a recorded trace."""
        if (trace := CURRENT.get()) is None:
            return await self._read(url)
        host = urlsplit(url)
        attributes: dict[str, str | int] = {
            "http.request.method": "GET",
            "server.address": host.hostname or "",
            "server.port": host.port or _PORTS[host.scheme],
        }
        with trace.begin("GET", attributes, is_client=True) as span:
            return await self._read(url, span)

    async def _read(self, url: str, span: Span | None = None) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if span is not None:
            headers["traceparent"] = span.traceparent
        async with (
            # A client for each fetch: connections do not stay open for the minutes in between.
            self._make_client(url) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if span is not None:
                span.add({"http.response.status_code": response.status_code})
            if response.is_redirect:
                location = response.headers.get("location", "")[:_MAX_LOCATION_LENGTH]
                raise MissingDocument(
                    f"the status is {response.status_code}, a redirect to {location!r}, which is"
                    " not followed"
                )
            if response.status_code != httpx2.codes.OK:
                raise MissingDocument(f"the status is {response.status_code}")
            body = bytearray()
            async for part in response.aiter_raw():  # uncompressed, so the size limit holds
                body += part
                if len(body) > MAX_BYTES:
                    raise FetchError(f"the answer has more than {MAX_BYTES} bytes")
            return _decode(bytes(body), response.headers.get("content-encoding", "identity"))

    def _make_client(self, url: str) -> httpx2.AsyncClient:
        trust = self._trust
        proxy = None if is_loopback(urlsplit(url).hostname or "") else self.proxy
        from_environment = proxy == PROXY_OF_ENVIRONMENT
        try:
            return httpx2.AsyncClient(
                verify=trust,
                timeout=self.timeout,
                trust_env=from_environment,
                proxy=None if from_environment else proxy,
            )
        except (ImportError, httpx2.InvalidURL, ValueError):  # may quote a part of the password
            raise FetchError(_UNUSABLE_PROXY) from None

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The certificate authorities of the system, or those of SSL_CERT_FILE."""
        return httpx2.create_ssl_context()


def _decode(body: bytes, encoding: str) -> bytes:
    """Decompress an answer, to at most `MAX_BYTES`."""
    if encoding.lower() == "identity":
        return body
    if encoding.lower() not in {"gzip", "x-gzip"}:
        raise FetchError(f"the answer has the Content-Encoding {encoding[:64]!r}")
    decompressor = zlib.decompressobj(_GZIP)
    try:
        decompressed = decompressor.decompress(body, MAX_BYTES)
    except zlib.error:
        raise FetchError("the answer is not gzip, as its Content-Encoding says") from None
    if decompressor.unconsumed_tail:
        raise FetchError(f"the answer has more than {MAX_BYTES} bytes")
    if not decompressor.eof:
        raise FetchError("the gzip answer is cut short")
    return decompressed
