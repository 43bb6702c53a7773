"""The settings of a session, and the versions of servers."""

import math
import re

from ordergate.adapters.sql.mysql.errors import UnusableServerError

_MARIADB = "MariaDB"
_OLDEST = {True: (10, 6, 2), False: (8, 0, 17)}
"""The first versions with SKIP LOCKED and DDL that is atomic, by whether it is MariaDB.

`EXECUTE IMMEDIATE` takes compound statements from MariaDB 10.6.2 on.
"""

_COLLATIONS = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}

_SQL_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""Values that do not fit are errors, and a backslash escapes, as the driver writes values."""


def collation(*, mariadb: bool) -> str:
    """Return the collation that compares text by its characters alone.

    Others take a trailing space, or the case, for no difference: the subject of another user.
    """
    return _COLLATIONS[mariadb]


def find_product(version: str) -> str:
    """Return the name of the server in spans."""
    return "mariadb" if _MARIADB in version else "mysql"


def check_version(version: str) -> None:
    """Raise `UnusableServerError` for a server that is too old."""
    mariadb = _MARIADB in version
    numbers = re.findall(r"[0-9]+", version.removeprefix("5.5.5-"))
    if tuple(map(int, numbers[:3])) < _OLDEST[mariadb]:
        oldest = ".".join(map(str, _OLDEST[mariadb]))
        name = _MARIADB if mariadb else "MySQL"
        raise UnusableServerError(
            f"the server is too old: {name} {oldest} is the oldest version; upgrade the server"
        )


def session_settings(version: str, statement_seconds: float) -> str:
    """Return the statement that sets up a session."""
    mariadb = _MARIADB in version
    settings = {
        "sql_mode": f"'{_SQL_MODE}'",
        "time_zone": "'+00:00'",
        "collation_connection": collation(mariadb=mariadb),
        "tx_isolation" if mariadb else "transaction_isolation": "'READ-COMMITTED'",
        "autocommit": "1",
        "foreign_key_checks": "1",
        "unique_checks": "1",
    }
    if statement_seconds:
        half = str(max(1, int(statement_seconds / 2)))
        settings |= {"innodb_lock_wait_timeout": half, "lock_wait_timeout": half}
        if mariadb:
            settings["max_statement_time"] = f"{statement_seconds:.3f}"
            settings["idle_transaction_timeout"] = str(math.ceil(statement_seconds))
        else:
            settings["max_execution_time"] = f"{statement_seconds * 1_000:.0f}"
    else:
        longest = "31536000"
        settings |= {"lock_wait_timeout": longest, "wait_timeout": longest}
        settings["innodb_lock_wait_timeout"] = "1073741824"
        settings["max_statement_time" if mariadb else "max_execution_time"] = "0"
    return "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())
