"""The `ordergate` command, with signal handlers before other imports."""

import gc
import locale
import os
import signal
import sys

from ordergate.entrypoints.server import signals


def _use_utf_8() -> None:
    """Restart in UTF-8 mode (PEP 540) under another locale encoding.

    Settings, arguments and output are then UTF-8 in every locale.
    """
    if not sys.flags.utf8_mode and sys.executable and locale.getencoding().lower() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def main() -> None:
    """Run the command."""
    signals.exit_on_signals()
    try:
        _use_utf_8()
        # Imports leave nothing behind, and looking for it takes a seventh of their time.
        gc.disable()
        # It takes long enough to be interrupted.
        from ordergate.entrypoints.cli import main as cli

        gc.freeze()
        gc.enable()
        signals.raise_on_signals()
        cli.main()
    except KeyboardInterrupt:
        signals.complain(signal.SIGINT)
        sys.exit(128 + signal.SIGINT)
    except signals.Terminated as terminated:
        signals.complain(terminated.number)
        raise


if __name__ == "__main__":
    main()
