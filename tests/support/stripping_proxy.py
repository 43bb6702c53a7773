"""A reverse proxy that removes a prefix: nginx, or a small one."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2

from tests.support.command import SECONDS, wait_until
from tests.support.programs import find_program

PROXIES = ["own", "nginx"]
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})
_CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    {location}
  }}
}}
"""


@contextmanager
def stripping_proxy(kind: str, upstream: str, folder: Path, location: str) -> Iterator[str]:
    """Remove `/shop` from request paths; return the address of the proxy.

    `location` is the block of nginx, for an upstream at http://127.0.0.1:8000.
    """
    if kind == "nginx":
        with _nginx(upstream, folder, location) as address:
            yield address
    else:
        with _own_proxy(upstream) as address:
            yield address


@contextmanager
def _nginx(upstream: str, folder: Path, location: str) -> Iterator[str]:
    nginx = find_program("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    location = location.replace("http://127.0.0.1:8000", upstream)
    file = folder / "nginx.conf"
    file.write_text(_CONFIGURATION.format(folder=folder, port=port, location=location))
    with subprocess.Popen([nginx, "-p", str(folder), "-c", str(file)]) as process:
        try:
            wait_until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, (folder / "error.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


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
