"""Load on a server, by wrk or else by bench/harness/client.py."""

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
    """A contestant failed. The message names it and the failure."""


class Unavailable(Exception):
    """A measurement is impossible on this machine. The message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, its expected status, and the expected text with its count."""

    path: str
    status: int = 200
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    says: str = '"sku"'
    times: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """Requests per second, and the latency in milliseconds at two percentiles.

    The percentiles are 50 and 99 %.

    `client` is the share of a core that the client used: near 1, it measured itself.
    """

    rate: float
    p50: float
    p99: float
    client: float


def on_cores(cores: Sequence[int]) -> list[str]:
    """Return a command's prefix that pins it and ends it with us."""
    return [sys.executable, str(HERE / "launch.py"), ",".join(map(str, cores))]


class Running:
    """Sends requests on kept connections; `result` waits for the end.

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
        self._before = _measure_children_seconds()
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
        """Stop a running load."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def result(self) -> Load:
        """Wait for the load and return its result.

        Raises `Failed` for an unexpected status or a failed connection, and `Unavailable` if no
        request was answered before the end.
        """
        output, _ = self._process.communicate()
        self._folder.cleanup()
        if self._process.returncode or not output.strip().endswith("}"):
            raise Failed(f"the client ended with {self._process.returncode} without a result")
        result = json.loads(output.splitlines()[-1])
        expected = result["requests"] if self._requests[0].status >= 400 else 0
        if not result["requests"] and not result["errors"]:
            raise Unavailable(f"not one answer in {result['seconds']:.0f} s")
        if result["errors"] or result["refused"] != expected:
            raise Failed(
                f"{self._requests[0].method} {self._requests[0].path}: of {result['requests']}"
                f" answers {result['refused']} were 4xx or 5xx ({expected} should be),"
                f" and {result['errors']} connections failed or waited 10 s"
            )
        client = (_measure_children_seconds() - self._before) / result["seconds"]
        return Load(result["requests"] / result["seconds"], result["p50"], result["p99"], client)


def _measure_children_seconds() -> float:
    """Return the processor time of ended children; servers are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _quoted(text: str) -> str:
    """Write a Lua string in long brackets, which need no escapes."""
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
