"""Another issuer on loopback, which publishes keys and rotates them."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support.program.certificates import write_certificate
from tests.support.tokens.jose import Jwk, sign, to_jwk

AUDIENCE = "https://orders.example"


class Issuer:
    """Signs with its newest key, and publishes `keys` at `url`.

    `fetches` counts the requests for them. `traceparents` has that of each request, or an empty
    text.

    A test may change the `status`, the `headers` and the `body`, or let it `hang` on a request
    until it is `released`. `documents` are further answers by their paths; any other path has the
    keys unless `metadata` was published.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.server = server
        self.address = f"http://127.0.0.1:{server.server_port}"
        self.name = f"{self.address}/"
        self.url = f"{self.address}/jwks"
        self.keys: list[Jwk] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.fetches = 0
        self.traceparents: list[str] = []
        self.documents: dict[str, object] = {}
        self.hang = False
        self.released = threading.Event()
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key, and publish no other."""
        self._key = ed25519.Ed25519PrivateKey.generate()
        self._kid = to_jwk(self._key)["x"]
        self.keys = [{**to_jwk(self._key), "kid": self._kid, "use": "sig", "alg": "EdDSA"}]

    def token(self, subject: str = "auth0|alice", **changes: Any) -> str:
        """Sign the claims of a valid access token, changed.

        A claim that is `...` is left out.

        `typ` and `kid` change the header.
        """
        now = int(time.time())
        header = {"typ": "at+jwt", "kid": self._kid}
        header |= {name: changes.pop(name) for name in ("typ", "kid") if name in changes}
        claims = {
            "iss": self.name,
            "aud": [AUDIENCE, f"{self.name}userinfo"],
            "sub": subject,
            "azp": "shop",
            "scope": "openid orders:read",
            "sid": "a session of the issuer's",
            "iat": now,
            "exp": now + 900,
            **changes,
        }
        payload = json.dumps({k: v for k, v in claims.items() if v is not ...}).encode()
        members = {k: v for k, v in header.items() if v is not ...}
        return sign("EdDSA", payload, key=self._key, **members)

    def publish_metadata(
        self, name: str | None = None, *, path: str | None = None, **changes: object
    ) -> None:
        """Take another name below the address, and publish metadata of it."""
        self.name = self.name if name is None else name
        below = self.name.removeprefix(self.address).rstrip("/")
        where = f"{below}/.well-known/openid-configuration" if path is None else path
        metadata = {"issuer": self.name, "jwks_uri": self.url, **changes}
        self.documents[where] = {k: v for k, v in metadata.items() if v is not ...}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Sign claims as they are."""
        members = {"kid": self._kid, **header}
        return sign("EdDSA", json.dumps(claims).encode(), key=self._key, **members)

    def answer_for(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body for a path."""
        if path in self.documents:
            return 200, json.dumps(self.documents[path]).encode()
        if self.documents and path != "/jwks":
            return 404, b"{}"
        self.fetches += 1
        return self.status, self.answer()

    def answer(self) -> bytes:
        return self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()


@contextmanager
def running_issuer(port: int = 0) -> Iterator[Issuer]:
    """Serve an issuer, on a port that the system chooses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.traceparents.append(self.headers.get("traceparent", ""))
            status, body = issuer.answer_for(self.path)
            if issuer.hang:
                issuer.released.wait()
                body = issuer.answer()
            with suppress(ConnectionError):  # the client closed the connection
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **issuer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        issuer = Issuer(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            issuer.released.set()
            server.shutdown()
            thread.join()


def serve_by_tls(issuer: Issuer, folder: Path) -> Path:
    """Let a running issuer answer only https; return its certificate's file."""
    file = write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    issuer.server.socket = context.wrap_socket(issuer.server.socket, server_side=True)
    issuer.address, issuer.name, issuer.url = (
        text.replace("http:", "https:") for text in (issuer.address, issuer.name, issuer.url)
    )
    return file
