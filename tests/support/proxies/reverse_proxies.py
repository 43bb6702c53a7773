"""Reverse proxies of the system, run as programs."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.databases.database_server import find_free_port
from tests.support.program.command import SECONDS, wait_until
from tests.support.programs import find_program

_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {http}
}}
"""
_LISTEN = "127.0.0.1:8080"


@contextmanager
def run_proxy(
    name: str, arguments: list[str], folder: Path, is_ready: Callable[[], bool]
) -> Iterator[Path]:
    """Run a proxy during the block; return the file of its output."""
    output = folder / f"{name}.log"
    with (
        output.open("w") as log,
        subprocess.Popen(
            [find_program(name), *arguments],
            env={"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"},
            stdout=log,
            stderr=log,
        ) as process,
    ):

        def is_running() -> bool:
            assert process.poll() is None, output.read_text()
            try:
                return is_ready()
            except httpx2.TransportError:
                return False

        try:
            wait_until(is_running)
            yield output
        finally:
            process.terminate()
            process.wait(SECONDS)


def write_nginx(folder: Path, http: str) -> list[str]:
    """Write a configuration with this `http`; return the arguments for it."""
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, http=http))
    return ["-p", str(folder), "-c", str(file)]


def write_caddy(folder: Path, text: str) -> list[str]:
    """Write a Caddyfile; return the arguments for it."""
    file = folder / "Caddyfile"
    file.write_text(text)
    return ["run", "--config", str(file), "--adapter", "caddyfile"]


@contextmanager
def run_nginx(folder: Path, http: str) -> Iterator[str]:
    """Run nginx with a server of the documentation; return its address.

    A free port replaces that of its `listen 127.0.0.1:8080`.
    """
    http, port = _replace_port(http, f"listen {_LISTEN};")
    with run_proxy("nginx", write_nginx(folder, http), folder, lambda: _listens(port)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def run_caddy(folder: Path, site: str) -> Iterator[tuple[str, Path]]:
    """Run Caddy with a documented site; return its address and its log.

    A free port replaces that of its address `http://127.0.0.1:8080`.
    """
    site, port = _replace_port(site, _LISTEN)
    arguments = write_caddy(folder, f"{{\n admin off\n}}\n{site}")
    with run_proxy("caddy", arguments, folder, lambda: _listens(port)) as log:
        yield f"http://127.0.0.1:{port}", log


def _replace_port(text: str, address: str) -> tuple[str, int]:
    port = find_free_port()
    assert text.count(address) == 1
    return text.replace(address, address.replace("8080", str(port))), port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
