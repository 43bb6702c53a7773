"""Load on a server: by wrk where it is installed, else by the client in bench/client.py."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
SERVER = CORES[:1]
CLIENT = CORES[1:2] or CORES[:1]
WRK = shutil.which("wrk")


class Failed(Exception):
    """A contestant did not do what it must; the message says who, and what it did."""


class Unavailable(Exception):
    """Something cannot be measured on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, the status that must answer it, and what the answer says so many times."""

    path: str
    status: int = 200
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    says: str = '"sku"'
    times: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """What a load came to: answers a second, and milliseconds that half and 99 % took at most.

    `client` is how much of a core the client took: near 1 it measured itself.
    """

    rate: float
    p50: float
    p99: float
    client: float


def on_cores(cores: Sequence[int]) -> list[str]:
    """Return what to write before a command so that it runs there and ends with this process."""
    return [sys.executable, str(HERE / "launch.py"), ",".join(map(str, cores))]


class Running:
    """Asks for these in turn, on so many kept connections; `result` waits for the end.

    wrk takes whole seconds only, and at least one.
    """

    def __init__(
        self,
        url: str,
        requests: Sequence[Request],
        *,
        connections: int,
        seconds: float,
        cores: Sequence[int],
    ) -> None:
        self._requests = requests
        self._before = _seconds_of_children()
        self._folder = tempfile.TemporaryDirectory()
        spec = {"url": url, "connections": connections, "seconds": seconds}
        if WRK:
            script = Path(self._folder.name, "load.lua")
            script.write_text(_lua(requests), encoding="utf-8")
            command = [WRK, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
            command += ["--timeout", "10s", "-s", str(script), url]
        else:
            script = Path(self._folder.name, "load.json")
            script.write_text(json.dumps(spec | {"requests": list(map(asdict, requests))}))
            command = [sys.executable, str(HERE / "client.py"), str(script)]
        self._process = subprocess.Popen(  # noqa: S603 - the client above
            [*on_cores(cores), *command], stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> None:
        """End it before its time, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def result(self) -> Load:
        """Return what it came to.

        Raises `Failed` for an answer of another status or a connection that fails, and
        `Unavailable` where all waited for their first answer until the end.
        """
        output, _ = self._process.communicate()
        self._folder.cleanup()
        if self._process.returncode or not output.strip().endswith("}"):
            raise Failed(f"the client ended with {self._process.returncode} and told no result")
        told = json.loads(output.splitlines()[-1])
        expected = told["requests"] if self._requests[0].status >= 400 else 0
        if not told["requests"] and not told["errors"]:
            raise Unavailable(f"not one answer in {told['seconds']:.0f} s")
        if told["errors"] or told["refused"] != expected:
            raise Failed(
                f"{self._requests[0].method} {self._requests[0].path}: of {told['requests']}"
                f" answers {told['refused']} were 4xx or 5xx ({expected} should be),"
                f" and {told['errors']} connections failed or waited 10 s"
            )
        client = (_seconds_of_children() - self._before) / told["seconds"]
        return Load(told["requests"] / told["seconds"], told["p50"], told["p99"], client)


def _seconds_of_children() -> float:
    """Return the processor time of the children that have ended, which no server has."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _quoted(text: str) -> str:
    """Write a string as Lua reads it; a long bracket needs no escapes but must not be closed."""
    return f"[==[{text}]==]"


def _lua(requests: Sequence[Request]) -> str:
    made = "\n".join(
        f"made[#made + 1] = wrk.format({_quoted(request.method)}, {_quoted(request.path)}, {{"
        + ", ".join(f"[ {_quoted(k)} ] = {_quoted(v)}" for k, v in request.headers.items())
        + f"}}, {_quoted(request.body) if request.body else 'nil'})"
        for request in requests
    )
    return f"""\
local made, turn = {{}}, 0
init = function()
{made}
end
request = function()
  turn = turn % #made + 1
  return made[turn]
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""
