"""nginx and Caddy, run with configurations of the documentation."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import wait_until
from tests.support.programs import find_program

_CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
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
def run_nginx(folder: Path, http: str) -> Iterator[str]:
    """Run nginx with these contents of `http`; return its address.

    A free port replaces that of its `listen 127.0.0.1:8080`.
    """
    nginx = find_program("nginx")
    address = f"127.0.0.1:{free_port()}"
    assert http.count(f"listen {_LISTEN};") == 1
    file = folder / "nginx.conf"
    http = http.replace(f"listen {_LISTEN};", f"listen {address};")
    file.write_text(_CONFIGURATION.format(folder=folder, http=http))
    with subprocess.Popen([nginx, "-p", str(folder), "-c", str(file)]) as process:
        try:
            wait_until(lambda: process.poll() is not None or _listens(address))
            assert process.poll() is None, (folder / "error.log").read_text()
            yield f"http://{address}"
        finally:
            process.terminate()


@contextmanager
def run_caddy(folder: Path, site: str) -> Iterator[tuple[str, Path]]:
    """Run Caddy with this site; return its address and its log.

    A free port replaces that of its address `http://127.0.0.1:8080`.
    """
    caddy = find_program("caddy")
    address = f"127.0.0.1:{free_port()}"
    assert site.count(_LISTEN) == 1
    file, log = folder / "Caddyfile", folder / "caddy.log"
    file.write_text(f"{{\n admin off\n}}\n{site.replace(_LISTEN, address)}")
    home = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    with (
        log.open("w") as output,
        subprocess.Popen(
            [caddy, "run", "--config", str(file)], stderr=output, env={**os.environ, **home}
        ) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or _listens(address))
            assert process.poll() is None, log.read_text()
            yield f"http://{address}", log
        finally:
            process.terminate()


def free_port() -> int:
    """Return a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0
