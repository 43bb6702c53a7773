"""The supervisor that starts and restarts worker processes."""

import logging
import os
import signal
import time
from dataclasses import dataclass, field
from pickle import UnpicklingError
from socket import socket

from uvicorn import Server
from uvicorn.supervisors import Multiprocess, multiprocess
from uvicorn.supervisors.multiprocess import Process

from ordergate.entrypoints.server.process import DrainingServer, ServerConfig, end_without_drain
from ordergate.entrypoints.server.systemd import notify

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

STEADY_SECONDS = 60.0
"""The run time after which the pauses before restarts begin again."""

START_SECONDS = 60.0
"""The time limit for a starting worker's answer, as on a busy machine."""

_END_SECONDS = 30.0
"""The time limit for a replaced worker's end, more than its open requests have."""

_POLL_SECONDS = 0.1
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM})

_log = logging.getLogger("ordergate.server")


class Worker(Process):
    """A process of the supervisor, which may drain."""

    config: ServerConfig

    @property
    def server(self) -> Server:
        """The server, made in the worker."""
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server

    def terminate(self) -> None:
        """End the worker without a drain, or in the midst of one."""
        if self.config.drain_seconds and self.exitcode is None and self.pid is not None:
            end_without_drain(self.pid)
        super().terminate()


vars(multiprocess)["Process"] = Worker  # which uvicorn's supervisor starts by this name


@dataclass
class _Place:
    """The place of a worker; `restart_at` is set while it is empty."""

    worker: Process
    is_first: bool
    started_at: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE_SECONDS
    restart_at: float | None = None
    asked_at: float | None = None
    is_ready: bool = False


class Supervisor(Multiprocess):
    """Restarts workers that end, and keeps the others.

    uvicorn's supervisor ends all workers when a new one fails to start, as with an unreachable
    database, and restarts a killed worker without a pause. This one doubles the pause of a place at
    each restart, from 0.5 s to 30 s.

    The first start differs: if every worker fails before one is ready, the configuration is wrong.
    Then `run` returns, and `has_failed` is true.

    SIGTERM drains the workers, which end by themselves. Those that end earlier are not replaced.
    """

    config: ServerConfig

    def __init__(self, config: ServerConfig, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.has_failed = False
        self._has_served = False
        self._drains = False
        self._places: dict[int, _Place] = {}

    def handle_signals(self) -> None:
        """Start or replace no worker while the service drains."""
        if self._drains:
            self.signal_queue[:] = [each for each in self.signal_queue if each in _ENDING]
        super().handle_signals()

    def restart_all(self) -> None:
        """Replace each worker when its successor is ready; stop at a failure.

        uvicorn gives a successor 5 seconds, which is not enough on a busy machine, and handles no
        other signal meanwhile.
        """
        for index, former in enumerate(self.processes):
            worker = Worker(self.config, self.sockets)
            worker.start()
            if not self._becomes_ready(worker):
                was_alive = worker.process.is_alive()
                worker.kill()
                worker.join()
                if not self._is_ending():
                    end = {"pid": worker.pid, **_end(worker.exitcode)}
                    if was_alive:
                        end = {"pid": worker.pid, "reason": f"not ready within {START_SECONDS} s"}
                    _log.error("replacement_failed", extra={**end, "kept_pid": former.pid})
                return
            former.terminate()
            former.process.join(_END_SECONDS)
            former.kill()  # nothing, where it has ended
            former.join()
            self.processes[index] = worker

    def _becomes_ready(self, worker: Worker) -> bool:
        """Wait until a worker serves or ends, or the service ends."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ending() and time.monotonic() < deadline:
            if worker.wait_until_ready(_POLL_SECONDS):
                return True
            if not worker.process.is_alive():
                return False
        return False

    def _is_ending(self) -> bool:
        return self.should_exit.is_set() or not _ENDING.isdisjoint(self.signal_queue)

    def terminate_all(self) -> None:
        """End the workers.

        Connections are refused as soon as the last worker stops listening. They would otherwise
        wait here for an answer until this process ends.
        """
        notify("STOPPING=1")
        self._stop_listening()
        super().terminate_all()

    def handle_term(self) -> None:
        """Drain the workers at the first signal; end at the second."""
        if self._drains or not self.config.drain_seconds:
            super().handle_term()
            return
        self._drains = True
        notify("STOPPING=1")
        self._stop_listening()
        for worker in self.processes:
            if worker.exitcode is None and worker.pid is not None:
                os.kill(worker.pid, signal.SIGTERM)

    def _stop_listening(self) -> None:
        for listening in self.sockets:
            listening.close()

    def keep_subprocess_alive(self) -> None:
        """Check each worker, and restart those whose pause is over."""
        if self._drains:
            if not any(worker.process.is_alive() for worker in self.processes):
                self.should_exit.set()
            return
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
        """Return the state of a worker, which SIGHUP and SIGTTIN replace."""
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
        """Ask whether the worker serves.

        It has 5 seconds to answer, and `START_SECONDS` at its start. This method never waits, so no
        worker delays the handling of signals.
        """
        connection, now = place.worker.parent_conn, time.monotonic()
        try:
            if place.asked_at is not None and connection.poll():
                place.is_ready = connection.recv()
                if place.is_ready and not self._has_served:
                    self._has_served = True
                    notify("READY=1")
                place.asked_at = None
            if place.asked_at is None:
                place.asked_at = now
                connection.send(b"ping")
        except (OSError, EOFError, UnpicklingError):
            return False  # it is about to end
        limit = self.config.timeout_worker_healthcheck if place.is_ready else START_SECONDS
        return now - place.asked_at < limit

    def _restart(self, index: int) -> None:
        pause = min(2 * self._places[index].pause, LONGEST_PAUSE_SECONDS)
        worker = Worker(self.config, self.sockets)
        worker.start()
        self.processes[index] = worker
        self._places[index] = _Place(worker, is_first=False, pause=pause)

    def _failed_at_first(self, place: _Place) -> bool:
        """Report whether a first worker ended before any was ready."""
        ended = place.restart_at is not None and (place.worker.exitcode or 0) > 0
        return place.is_first and ended and not self._has_served


def _end(exit_code: int | None) -> dict[str, object]:
    if exit_code is None or exit_code >= 0:
        return {"exit_code": exit_code}
    try:
        return {"signal": signal.Signals(-exit_code).name}
    except ValueError:  # a real-time signal
        return {"signal": -exit_code}
