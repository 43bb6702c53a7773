"""SIGINT, SIGTERM and SIGHUP end a command with one line and the exit status 128 + number.

A signal that was ignored when the process started, as by `nohup`, stays ignored.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

_FIRST_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RETRY_SECONDS = 0.01

_raised: list[int] = []
"""The signal that ends this process, once `Terminated` was raised for it."""


class Terminated(SystemExit):
    """SIGTERM or SIGHUP has arrived; an event loop lets a `SystemExit` through."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def exit_on_signals() -> None:
    """End the process where it is, from now on. Imports have nothing to clean up.

    As process 1 of a container, Linux ignores each signal that has no handler.
    """
    for number in _FIRST_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def raise_on_signals() -> None:
    """Raise `KeyboardInterrupt` or `Terminated` in the main thread, from now on.

    `finally` blocks run: temporary files are removed, transactions are rolled back.
    """
    for number in _FIRST_SIGNALS:
        if signal.getsignal(number) is _exit:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else _terminate)
    sys.unraisablehook = _raise_again


def complain(number: int) -> None:
    """Write which signal has ended the command."""
    reason = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    if sys.stderr is not None:  # it is closed, as after `2>&-` in a shell
        with suppress(OSError):
            sys.stderr.write(f"ordergate: {reason}\n")
            sys.stderr.flush()


def _exit(number: int, _frame: FrameType | None) -> None:
    complain(number)
    os._exit(128 + number)


def _terminate(number: int, _frame: FrameType | None) -> None:
    """Raise once: systems that shut down send both signals, and cleaning up must go on."""
    if not _raised:
        _raised.append(number)
        raise Terminated(number)


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send the signal again if its exception was raised in a finalizer, where Python drops it."""
    match unraisable.exc_value:
        case Terminated(number=number):
            _raised.clear()
        case KeyboardInterrupt():
            number = signal.SIGINT
        case _:
            sys.__unraisablehook__(unraisable)
            return
    from threading import Timer, main_thread  # noqa: PLC0415 - signals come before it is loaded

    # Sent to the main thread, the signal interrupts what that waits for.
    Timer(_RETRY_SECONDS, signal.pthread_kill, [main_thread().ident, number]).start()
