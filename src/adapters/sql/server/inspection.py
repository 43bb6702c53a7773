"""The properties of a database server."""

import time

from sqlalchemy import Connection, TextClause

from ordergate.application.ports.storage import StorageFacts


def inspect_server(
    connection: Connection, server: str, *, clock: TextClause, limits: TextClause
) -> StorageFacts:
    """Return the properties of a server, named `server`.

    `clock` selects the version and the time in Unix seconds. `limits` selects limits of
    connections; numbers below 1 set none.
    """
    permitted = [int(each) for each in connection.execute(limits).one() if int(each) > 0]
    connection.execute(clock)  # prepares the statement
    began, ticks = time.time(), time.perf_counter()
    version, now = connection.execute(clock).one()
    seconds = time.perf_counter() - ticks
    return StorageFacts(
        product=f"{server} {version}",
        round_trip=seconds,
        clock_ahead=float(now) - (began + seconds / 2),
        max_connections=min(permitted, default=None),
    )
