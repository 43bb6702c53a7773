"""The certificate of the service, and its key."""

from collections.abc import Sequence
from datetime import timedelta

from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import (
    Finding,
    report_failure,
    report_ok,
    report_warning,
    write_count,
)
from ordergate.entrypoints.factories.tls import find_tls_files

CHECK = "tls"

LEAST_LEFT = timedelta(days=30)
"""Automatic renewals happen earlier than this before the end."""


async def check_tls(container: Container) -> Sequence[Finding]:
    """Check that the certificate matches the key and has not expired."""
    files = find_tls_files(container.settings())
    if files is None:
        return []
    files.make_context()
    ends = files.read_expiry()
    left = ends - container.clock().now()
    found = f"the certificate {files.certificate} is valid until {ends:%Y-%m-%d}"
    if left <= timedelta():
        found = f"the certificate {files.certificate} has expired on {ends:%Y-%m-%d}"
        return [report_failure(CHECK, found, "renew it, and restart the service")]
    if left < LEAST_LEFT:
        found += f", for {write_count(left.days, 'day')}"
        return [report_warning(CHECK, found, "renew it, and restart the service")]
    return [report_ok(CHECK, found)]
