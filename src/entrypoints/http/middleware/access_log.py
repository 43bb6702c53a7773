"""The access log: one line for each request."""

import logging

from ordergate.entrypoints.http.middleware.observing import FinishedRequest

_log = logging.getLogger("ordergate.access")


def log_request(finished: FinishedRequest) -> None:
    """Log a request.

    Its path, query, headers and body may hold secrets, so they are left out.
    """
    fields: dict[str, object] = {
        "method": finished.method,
        "route": finished.route,
        "status": finished.status,
        "ms": round(finished.seconds * 1_000, 3),
        "bytes": finished.size,
        "address": finished.address,
        "request_id": finished.request_id,
    }
    if finished.user is not None:
        fields["user_id"] = finished.user
    _log.info("request_finished", extra=fields)
