"""Settings of a session: sent with a connection, or of its role."""

from collections.abc import Mapping

import asyncpg

_METHODS = ("bitmapscan", "hashjoin", "mergejoin", "seqscan", "sort")

_FIXED = {
    "client_min_messages": "warning",  # a warning reports an unconfirmed COMMIT
    "default_transaction_isolation": "read committed",
    # All queries use keys. The planner's other methods suit queries that read most of a table; with
    # stale statistics, a page would read all orders of its owner.
    **{f"enable_{method}": "off" for method in _METHODS},
    # Queries that need a disabled method look expensive, and JIT takes 90 ms for each.
    "jit": "off",
}
LIMITS = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
"""The settings that limit time, in milliseconds; 0 is no limit."""

OWN_SETTINGS = frozenset({*_FIXED, *LIMITS})
"""The settings that a URL may not change."""

_CURRENT = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1::text[])"


def list_settings(statement_seconds: float) -> Mapping[str, str]:
    """Return the settings with this time limit; 0 is no limit."""
    whole, half = (f"{statement_seconds * share:.0f}" for share in (1_000, 500))
    limits = dict.fromkeys(LIMITS, whole) | {"lock_timeout": half}
    return {**_FIXED, **limits}


def write_options(settings: Mapping[str, str]) -> str:
    """Write settings as words of a server's command line."""
    return " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items()
    )


async def require_role_settings(
    connection: asyncpg.Connection, settings: Mapping[str, str]
) -> None:
    """Raise `ClientConfigurationError` with the missing statements unless the role has these."""
    rows = await connection.fetch(_CURRENT, list(settings))
    current = {row["name"]: row["setting"] for row in rows}
    missing = sorted(name for name, value in settings.items() if current.get(name) != value)
    if missing:
        role = await connection.fetchval("SELECT quote_ident(current_user)")
        statements = (f"ALTER ROLE {role} SET {name} = '{settings[name]}'" for name in missing)
        raise asyncpg.ClientConfigurationError(
            f"the role lacks settings: {'; '.join(statements)}; then RECONNECT the pooler"
        )
