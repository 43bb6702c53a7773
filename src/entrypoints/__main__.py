"""The `ordergate` command, ready for Ctrl-C before the rest is imported."""

import gc
import locale
import os
import sys


def _use_utf_8() -> None:
    """Start again in UTF-8 mode (PEP 540) where the locale has another encoding.

    Then settings, arguments and what is printed are UTF-8 in every locale.
    """
    if not sys.flags.utf8_mode and sys.executable and locale.getencoding().lower() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def main() -> None:
    """Run the command."""
    try:
        _use_utf_8()
        # Imports leave nothing behind, and looking for it takes a seventh of their time.
        gc.disable()
        from entrypoints import cli  # noqa: PLC0415 - it takes long enough to be interrupted

        gc.freeze()
        gc.enable()
        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("ordergate: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
