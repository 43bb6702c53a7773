"""Nodes of a Galera cluster, and turns of owners.

A lock of a row holds at one node. Another node learns of a transaction from the rows that it wrote,
when it commits. So a write of an owner's first writes the row of the owner's turn: of two at
different nodes, the cluster rejects one as a deadlock, and it is repeated.
"""

from typing import TYPE_CHECKING, cast

from sqlalchemy import BigInteger, Connection, bindparam, column, inspect, literal_column, table
from sqlalchemy.dialects.mysql import Insert, insert

from ordergate.adapters.sql.recognition import TURNS

if TYPE_CHECKING:
    from ordergate.adapters.sql.mysql.connection import MysqlConnection

CREATE_TURNS = (
    "CREATE TABLE IF NOT EXISTS ordergate_turns"
    " (owner_id BIGINT PRIMARY KEY, turn BIGINT NOT NULL) ENGINE=InnoDB"
)
TURNS_MISSING = (
    "the table ordergate_turns is missing, which a cluster needs; run `ordergate migrate`"
)

_TURNS = table(TURNS, column("owner_id", BigInteger), column("turn", BigInteger))
_IS_MEMBER = "SHOW VARIABLES LIKE 'wsrep_on'"
_WAIT_FOR_OTHERS = "SET SESSION wsrep_sync_wait = 15"
"""Statements wait for what other nodes have committed before."""


async def join_cluster(connection: "MysqlConnection") -> bool:
    """Set up the session of a node. Return whether it is one.

    Raises the driver's error 1047 for a node that has left its cluster.
    """
    found = await connection.run(_IS_MEMBER, ())
    if not found or found[0][1] != "ON":
        return False
    await connection.run(_WAIT_FOR_OTHERS, ())
    await connection.run("SELECT 1", ())  # SHOW and SET are permitted without a cluster
    return True


def write_turn(parameter: str) -> Insert:
    """Return the statement that writes an owner's turn.

    The owner is a parameter of this name.
    """
    first = insert(_TURNS).values(owner_id=bindparam(parameter), turn=literal_column("1"))
    return first.on_duplicate_key_update(turn=literal_column("turn + 1"))


def is_in_cluster(connection: Connection) -> bool:
    """Report whether a connection is to a node."""
    return cast("MysqlConnection", connection.connection.driver_connection).in_cluster


_TAKE_TURN = write_turn("owner")


def take_turn(connection: Connection, owner: int) -> None:
    """Write the turn of an owner at a node of a cluster."""
    if is_in_cluster(connection):
        connection.execute(_TAKE_TURN, {"owner": owner})


def lacks_turns(connection: Connection) -> bool:
    """Report whether a node is without the table of turns."""
    return is_in_cluster(connection) and not inspect(connection).has_table(TURNS)
