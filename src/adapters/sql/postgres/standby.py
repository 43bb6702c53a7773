"""A hot standby, which may lag behind its primary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

from sqlalchemy import Connection, Text, func, literal_column, select
from typing_extensions import override

from ordergate.adapters.sql.database import Reader, Rows, T, Values
from ordergate.adapters.sql.postgres.connecting.connection import PostgresConnection, connect
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl
from ordergate.adapters.sql.postgres.database import PostgresDatabase
from ordergate.adapters.sql.postgres.errors import NoStandbyError
from ordergate.adapters.sql.postgres.positions import TIMELINE, read_timeline, split_position
from ordergate.adapters.sql.postgres.statement import PostgresStatement
from ordergate.adapters.sql.repositories.secret import SECRET
from ordergate.application.consistency import CURRENT
from ordergate.application.errors import StorageUnavailable

CHECK_SECONDS = 1.0
"""How long a connection trusts what it knows of its server."""

_SYSTEM = literal_column("(SELECT system_identifier::text FROM pg_control_system())", Text())
_IDENTITY = select(SECRET.scalar_subquery(), _SYSTEM, literal_column(TIMELINE, Text()))
_STATE = select(
    SECRET.scalar_subquery(),
    _SYSTEM,
    func.pg_is_in_recovery(),
    literal_column("(SELECT timeline_id FROM pg_control_checkpoint())"),
    literal_column("pg_snapshot_xmin(pg_current_snapshot())::text", Text()),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A primary: the secret of its database, its cluster and its timeline."""

    secret: bytes
    system: str
    timeline: int


async def identify(primary: Reader) -> Identity:
    """Read the identity of a primary."""
    ((secret, system, timeline),) = await primary.rows(_IDENTITY, {})
    return Identity(secret, system, read_timeline(timeline))


class BehindError(Exception):
    """The standby lacks the writes that a read needs."""


class PostgresStandby(PostgresDatabase):
    """A hot standby of the `primary`.

    Each connection remembers for a second how far its server is, so most reads are one round trip.
    A server that does not follow the primary is `StorageUnavailable`. After a failover, a standby
    says that it follows the new primary at its next restartpoint.
    """

    primary: Identity | None = None

    @override
    async def read(
        self, work: Callable[[Connection], T], *, large: bool = False, shared: bool = False
    ) -> T:
        """Run a statement where the standby has what the request needs."""

        def checked(connection: Connection) -> T:
            driver = cast("PostgresConnection", connection.connection.driver_connection)
            if not _is_known_to_have(driver, _get_needed()):
                self._check_state(driver, connection.execute(_STATE).one())
            return work(connection)

        return await super().read(checked, large=large, shared=shared)

    @override
    async def _run_reading(
        self, statement: PostgresStatement, connection: PostgresConnection, *, values: Values
    ) -> Rows:
        if not _is_known_to_have(connection, _get_needed()):
            (state,) = await self._compile(_STATE).run(connection, {})
            self._check_state(connection, state)
        return await statement.run(connection, values)

    @staticmethod
    @override
    async def _connect(
        url: DatabaseUrl, *, seconds: float, statement_seconds: float, sends_settings: bool = True
    ) -> PostgresConnection:
        """Connect to a standby; another host of the URL may be one."""
        connection = await connect(
            url,
            seconds=seconds,
            statement_seconds=statement_seconds,
            sends_settings=sends_settings,
        )
        if not await connection.fetchval("SELECT pg_is_in_recovery()"):
            connection.terminate()
            raise NoStandbyError
        return connection

    def _check_state(self, connection: PostgresConnection, state: Sequence[Any]) -> None:
        secret, system, is_standby, timeline, xmin = state
        timeline_needed, needed = split_position(_get_needed())
        primary = self.primary
        is_same = primary is not None and (secret, system) == (primary.secret, primary.system)
        if primary is None or not is_same or not is_standby:
            raise StorageUnavailable("PostgreSQL: the server is no standby of the primary")
        if timeline < primary.timeline:
            raise StorageUnavailable("PostgreSQL: the standby does not follow the primary yet")
        connection.complete_before = (timeline, int(xmin))
        connection.checked_at = monotonic()
        if timeline < timeline_needed or int(xmin) <= needed:
            raise BehindError


def _is_known_to_have(connection: PostgresConnection, position: int) -> bool:
    timeline, needed = split_position(position)
    known_timeline, known = connection.complete_before
    is_fresh = monotonic() < connection.checked_at + CHECK_SECONDS
    return is_fresh and known_timeline >= timeline and known > needed


def _get_needed() -> int:
    """Return the position that the request needs; 0 is any."""
    consistency = CURRENT.get()
    return (consistency.needed or 0) if consistency else 0
