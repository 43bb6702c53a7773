"""A reverse proxy that removes a prefix: nginx, or a small one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2

from tests.support.program.command import SECONDS
from tests.support.proxies.reverse_proxies import run_nginx

PROXIES = ["own", "nginx"]
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})


@contextmanager
def stripping_proxy(kind: str, upstream: str, folder: Path, location: str) -> Iterator[str]:
    """Remove `/shop` from request paths; return the address of the proxy.

    `location` is the block of nginx, for an upstream at http://127.0.0.1:8000.
    """
    if kind == "nginx":
        location = location.replace("http://127.0.0.1:8000", upstream)
        with run_nginx(folder, f"server {{ listen 127.0.0.1:8080; {location} }}") as address:
            yield address
    else:
        with _own_proxy(upstream) as address:
            yield address


@contextmanager
def _own_proxy(upstream: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            prefix, _, path = self.path[1:].partition("/")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if prefix != "shop":
                self.send_error(404)
                return
            headers = [(k, v) for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP]
            answer = httpx2.request(
                self.command,
                f"{upstream}/{path}",
                headers=[*headers, ("Host", self.headers["Host"])],
                content=body,
                timeout=SECONDS,
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name not in _HOP_BY_HOP | {"content-encoding", "content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def do_GET(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            self._forward()

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
