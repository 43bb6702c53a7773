"""The supervisor of several worker processes: it starts them, and starts those again that end."""

import logging
import signal
import time
from dataclasses import dataclass, field
from pickle import UnpicklingError
from socket import socket

from uvicorn import Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

STEADY_SECONDS = 60.0
"""A worker that has run for so long had no fault at its start: the pauses begin again."""

START_SECONDS = 60.0
"""How long a worker may start without an answer to the supervisor, as on a busy machine."""

_log = logging.getLogger("ordergate.server")


@dataclass
class _Place:
    """One of the workers. `restart_at` is set while none runs in this place."""

    worker: Process
    is_first: bool
    started_at: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE_SECONDS
    restart_at: float | None = None
    asked_at: float | None = None
    is_ready: bool = False


class Supervisor(Multiprocess):
    """Starts a worker again after it has ended, for whatever reason, and keeps the others.

    uvicorn's own supervisor ends all workers when a new one fails to start, as it does while the
    database is away, and restarts without a pause a worker that is killed. Here each restart of the
    same place waits twice as long as the one before, from 0.5 s to 30 s.

    Only the first start is different: when every worker fails before any of them is ready, the
    configuration is wrong. Then `run` returns, and `has_failed` is true.
    """

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.has_failed = False
        self._has_served = False
        self._places: dict[int, _Place] = {}

    def keep_subprocess_alive(self) -> None:
        """Look at each worker, and start again those whose pause is over."""
        for index in range(len(self.processes)):
            if self.should_exit.is_set():
                return
            place = self._place(index)
            if place.restart_at is None:
                self._check(place)
            elif time.monotonic() >= place.restart_at and not self._failed_at_first(place):
                self._restart(index)
        if all(map(self._failed_at_first, map(self._place, range(len(self.processes))))):
            _log.error("no worker could start")
            self.has_failed = True
            self.should_exit.set()

    def _place(self, index: int) -> _Place:
        """Return what is known of a worker; SIGHUP and SIGTTIN put others there."""
        place = self._places.get(index)
        if place is None or place.worker is not self.processes[index]:
            worker = self.processes[index]
            place = self._places[index] = _Place(worker, is_first=place is None)
        return place

    def _check(self, place: _Place) -> None:
        worker = place.worker
        has_hung = worker.process.is_alive()
        if has_hung and self._answers(place):
            return
        worker.kill()
        worker.join()
        now = time.monotonic()
        if now - place.started_at >= STEADY_SECONDS:
            place.pause = FIRST_PAUSE_SECONDS
        place.restart_at = now + place.pause
        reason = {"reason": "it did not answer the supervisor"} if has_hung else {}
        end = {"pid": worker.pid, **_end(worker.exitcode), **reason}
        _log.error("worker_ended", extra={**end, "restart_seconds": place.pause})

    def _answers(self, place: _Place) -> bool:
        """Ask the worker whether it serves; it has some seconds to answer, and more to start.

        This waits for nothing, so that no worker delays the signals that the supervisor handles.
        """
        connection, now = place.worker.parent_conn, time.monotonic()
        try:
            if place.asked_at is not None and connection.poll():
                place.is_ready = connection.recv()
                self._has_served = self._has_served or place.is_ready
                place.asked_at = None
            if place.asked_at is None:
                place.asked_at = now
                connection.send(b"ping")
        except (OSError, EOFError, UnpicklingError):
            return False  # it is about to end, or has no use any more
        limit = self.config.timeout_worker_healthcheck if place.is_ready else START_SECONDS
        return now - place.asked_at < limit

    def _restart(self, index: int) -> None:
        pause = min(2 * self._places[index].pause, LONGEST_PAUSE_SECONDS)
        worker = Process(self.config, self.sockets)
        worker.start()
        self.processes[index] = worker
        self._places[index] = _Place(worker, is_first=False, pause=pause)

    def _failed_at_first(self, place: _Place) -> bool:
        """Say whether a worker of the first start has ended by itself, before any was ready."""
        ended = place.restart_at is not None and (place.worker.exitcode or 0) > 0
        return place.is_first and ended and not self._has_served


def _end(exit_code: int | None) -> dict[str, object]:
    if exit_code is None or exit_code >= 0:
        return {"exit_code": exit_code}
    try:
        return {"signal": signal.Signals(-exit_code).name}
    except ValueError:  # a real-time signal
        return {"signal": -exit_code}
