"""Buffer log lines, so that no request waits for standard error."""

import logging
import os
import select
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TextIO

MAX_CHARACTERS = 1_048_576
"""The maximum of buffered text in a process; about 5,000 lines."""

FLUSH_SECONDS = 1.0
"""How long a process waits at its end until the buffer is written."""

_ATOMIC_BYTES = select.PIPE_BUF
"""The size of a write that a pipe keeps together (POSIX, `write`)."""

_REPORT = "log_lines_dropped"

_Item = tuple[str, int] | Event
"""A line with the number of dropped lines before it, or an event to set."""


class BufferedHandler(logging.Handler):
    """Writes lines on a thread in their order, without blocking callers.

    While more than `MAX_CHARACTERS` wait, and until half of them are written, lines are dropped.
    Lines that cannot be written, as to a full disk or a closed pipe, are dropped too. The next
    written line is `log_lines_dropped` with their number. A process that ends waits at most
    `FLUSH_SECONDS`. A forked process has its own buffer and thread.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._file = stream.fileno()
        self._encoding = stream.encoding
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._thread: Thread | None = None
        self._is_full = False
        self._is_torn = False  # a line was written in part
        # Callers hold the handler's lock and change the first of each line; the thread the rest.
        self._put, self._taken = 0, 0
        self._dropped, self._lost, self._reported = 0, 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue the line; its data may change later."""
        if self._process != os.getpid():
            self._begin()
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - logging's own answer is to write to standard error
            self._dropped += 1
            return
        waiting = self._put - self._taken
        if self._is_full:
            self._is_full = waiting > MAX_CHARACTERS // 2
        if self._is_full or (waiting and waiting + len(line) > MAX_CHARACTERS):
            self._is_full = True
            self._dropped += 1
            return
        self._put += len(line)
        self._queue.put((line, self._dropped))
        if self._thread is None:
            self._thread = Thread(target=self._write_all, name="log", daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Wait until earlier lines are written, at most `FLUSH_SECONDS`."""
        if self._thread is not None and self._process == os.getpid():
            reached = Event()
            self._queue.put(reached)
            reached.wait(FLUSH_SECONDS)

    def _write_all(self) -> None:
        """Write the queue in whole lines, which a pipe keeps together."""
        lines: list[bytes] = []
        while True:
            # Read first: lines that are queued later stand behind those that are dropped by now.
            dropped_before = self._dropped
            try:
                item = self._queue.get(block=not lines)
            except Empty:
                self._write(lines)
                self._report(dropped_before)
                continue
            if isinstance(item, Event):
                self._write(lines)
                self._report(dropped_before)
                item.set()
                continue
            text, dropped = item
            self._taken += len(text)
            line = f"{text}\n".encode(self._encoding, "backslashreplace")
            if sum(map(len, lines), len(line)) > _ATOMIC_BYTES:
                self._write(lines)
            if dropped + self._lost > self._reported:
                self._write(lines)
                self._report(dropped)
            lines.append(line)

    def _report(self, dropped: int) -> None:
        """Write the number of lines that are missing here, if any."""
        missing = dropped + self._lost - self._reported
        if missing > 0:
            about = {"name": "ordergate.log", "levelno": logging.WARNING, "levelname": "WARNING"}
            record = logging.makeLogRecord({**about, "msg": _REPORT, "lines": missing})
            if self._send(f"{self.format(record)}\n".encode()):
                self._reported += missing

    def _write(self, lines: list[bytes]) -> None:
        if lines and not self._send(b"".join(lines)):
            self._lost += len(lines)
        lines.clear()

    def _send(self, data: bytes) -> bool:
        """Write all data without a time limit; return whether that succeeded."""
        if self._is_torn:
            data = b"\n" + data
        rest = data
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:  # another process has made the file non-blocking
                poll = select.poll()
                poll.register(self._file, select.POLLOUT)
                poll.poll()
            except OSError:
                self._is_torn = self._is_torn or len(rest) < len(data)
                return False
        self._is_torn = False
        return True
