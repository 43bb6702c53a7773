"""Where the service listens."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import Finding, report_failure, report_ok
from ordergate.entrypoints.factories.observability.metrics import find_port_conflict

CHECK = "listening"


async def check_listening(container: Container) -> Sequence[Finding]:
    """Check the folder of a Unix socket, or the ports."""
    settings = container.settings()
    if settings.listen_uds is not None:
        return [*_examine_folder(settings.listen_uds.absolute())]
    conflict = find_port_conflict(settings, settings.listen_host, settings.listen_port)
    return [report_failure(CHECK, conflict)] if conflict else []


def _examine_folder(path: Path) -> Iterator[Finding]:
    folder = path.parent
    if not folder.is_dir():
        advice = "make it, as with RuntimeDirectory= of a systemd unit"
        yield report_failure(CHECK, f"the folder of {path} does not exist", advice)
    elif not os.access(folder, os.W_OK | os.X_OK):
        advice = "run this as the service's user, or change the mode of the folder"
        yield report_failure(CHECK, f"this process cannot make {path}", advice)
    else:
        yield report_ok(CHECK, f"this process can make {path}")
