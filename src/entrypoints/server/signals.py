"""End a command by SIGINT, SIGTERM or SIGHUP, with one line.

The exit status is 128 + the number of the signal. A signal that was ignored at the start of the
process, as by `nohup`, stays ignored.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

_FIRST_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RETRY_SECONDS = 0.01

_raised: list[int] = []
"""The signal that ends this process, after `Terminated` was raised for it."""


class Terminated(SystemExit):
    """SIGTERM or SIGHUP has arrived. Event loops do not catch a `SystemExit`."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def exit_on_signals() -> None:
    """From now on, end the process immediately; imports need no cleanup.

    As process 1 of a container, Linux ignores each signal without a handler.
    """
    for number in _FIRST_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def raise_on_signals() -> None:
    """From now on, raise `KeyboardInterrupt` or `Terminated` in the main thread.

    `finally` blocks run: they remove temporary files and roll back transactions.
    """
    for number in _FIRST_SIGNALS:
        if signal.getsignal(number) is _exit:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else _terminate)
    sys.unraisablehook = _raise_again


def complain(number: int) -> None:
    """Write the name of the signal that has ended the command."""
    reason = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    if sys.stderr is not None:  # it is closed, as after `2>&-` in a shell
        with suppress(OSError):
            sys.stderr.write(f"ordergate: {reason}\n")
            sys.stderr.flush()


def _exit(number: int, _frame: FrameType | None) -> None:
    complain(number)
    os._exit(128 + number)


def _terminate(number: int, _frame: FrameType | None) -> None:
    """Raise the exception once, because a shutdown sends several signals during cleanup."""
    if not _raised:
        _raised.append(number)
        raise Terminated(number)


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send the signal again if Python dropped its exception in a finalizer."""
    match unraisable.exc_value:
        case Terminated(number=number):
            _raised.clear()
        case KeyboardInterrupt():
            number = signal.SIGINT
        case _:
            sys.__unraisablehook__(unraisable)
            return
    from threading import Timer, main_thread

    # Sent to the main thread, the signal interrupts its system call.
    Timer(_RETRY_SECONDS, signal.pthread_kill, [main_thread().ident, number]).start()
