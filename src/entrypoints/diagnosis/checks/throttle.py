"""Where failed sign-ins and requests are counted."""

import time
from collections.abc import Sequence

from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import (
    Finding,
    report_failure,
    report_ok,
    write_milliseconds,
)
from ordergate.entrypoints.factories.passwords import find_throttle_error

CHECK = "throttle"


async def check_throttle(container: Container) -> Sequence[Finding]:
    """Check that the shared counters can be reached."""
    settings = container.settings()
    limited = settings.requests_per_address or settings.requests_per_client
    counted = [
        *(["failed sign-ins"] if settings.issues_tokens else []),
        *(["requests"] if limited else []),
    ]
    if not counted:
        return []
    if settings.throttle_url is None:
        found = f"{' and '.join(counted)} are counted in the memory of each worker"
        if settings.workers > 1:
            found += f", so {settings.workers} workers permit {settings.workers} times as many"
        return [report_ok(CHECK, found)]
    began = time.perf_counter()
    error = await find_throttle_error(settings)
    seconds = time.perf_counter() - began
    if error is None:
        return [
            report_ok(CHECK, f"ORDERGATE_THROTTLE_URL answers in {write_milliseconds(seconds)}")
        ]
    return [
        report_failure(
            CHECK,
            f"ORDERGATE_THROTTLE_URL cannot be used ({error}), so each worker counts alone",
            "start that Redis, or correct the URL",
        )
    ]
