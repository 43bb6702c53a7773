"""A database server of the tests' own, on a loopback port."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from tests.support.program.captured_output import run_program

PASSWORD = "the password of the test server"
SECONDS = 60

# The server ends when the other end of this pipe is closed.
_GUARD = """
exec 3<&0
ending=$1; shift
"$@" </dev/null & server=$!
echo $server >server.pid
{ read _ <&3; kill -$ending $server; } 2>/dev/null & guard=$!
wait $server
kill $guard 2>/dev/null
"""


class NoServerError(Exception):
    """Why a server cannot run on this machine."""


class DatabaseServer(ABC):
    """A server with temporary data, which runs as an ordinary user.

    `durable` servers flush what they commit, so that it survives `kill`.
    """

    scheme: str
    database: str
    """The database of `url`."""
    ending: str
    """The signal by which the server ends without waiting for clients."""

    def __init__(self, *, durable: bool = False) -> None:
        self.durable = durable
        self.port = find_free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"ordergate-{self.scheme}-"))
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.own(self.folder)

    @abstractmethod
    def init(self) -> None:
        """Make an empty server. Raises `NoServerError`."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the command that runs the server."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server answers a client."""

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the server's programs."""
        return os.environ

    def url(self, database: str | None = None) -> str:
        """Return the URL of a database."""
        password = PASSWORD.replace(" ", "%20")
        address = f"127.0.0.1:{self.port}/{database or self.database}"
        return f"{self.scheme}://ordergate:{password}@{address}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text()[-2_000:]
                self.stop()
                raise NoServerError(log)
            if self._process is None or self._process.poll() is not None:
                self.stop()
                self._launch()
            time.sleep(0.02)

    def _launch(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", self.ending, *self.command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
                user=find_server_user(),
            )

    def stop(self) -> None:
        """End the server like an administrator who does not wait for clients."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(SECONDS)
        self._process = None

    def kill(self) -> None:
        """End the server like a power loss, as far as possible."""
        os.kill(int((self.folder / "server.pid").read_text()), signal.SIGKILL)
        self.stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self.folder)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Make and start the server, and remove it afterwards."""
        try:
            self.init()
            self.start()
            yield self
        finally:
            self.remove()

    def run(self, program: str | Path, *arguments: str) -> None:
        """Run a program of the server; raise `NoServerError` for a failure."""
        done = run_program(
            [program, *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            user=find_server_user(),
        )
        if done.returncode:
            raise NoServerError(done.stdout + done.stderr)

    def own(self, path: Path) -> None:
        """Give a file to the user of the server."""
        if user := find_server_user():
            shutil.chown(path, user)


def find_server_user() -> str | None:
    """Return the user that servers run as, if not the current."""
    return "nobody" if os.geteuid() == 0 else None


def find_free_port() -> int:
    """Return a port that nothing listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
        return port
