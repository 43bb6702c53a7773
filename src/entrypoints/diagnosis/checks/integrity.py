"""The database file, checked for damage as before a start."""

from collections.abc import Sequence

from ordergate.application.ports.storage import StorageInspector
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import Finding, report_ok, report_warning
from ordergate.entrypoints.factories.databases import list_database_files

CHECK = "integrity"

SECONDS = 2.0
"""The time limit, which is that of a start."""


async def check_integrity(container: Container) -> Sequence[Finding]:
    """Check a database file for a limited time."""
    file = container.storage_file()
    if file is None or not isinstance(container.storage(), StorageInspector):
        return []
    if not any(path.exists() for path in list_database_files(container.settings())):
        return []
    if file.check(seconds=SECONDS):
        return [report_ok(CHECK, "the database file is not damaged")]
    return [
        report_warning(
            CHECK,
            f"the database file is too large to be checked in {SECONDS:g} s",
            "`ordergate backup FILE` checks all of it",
        )
    ]
