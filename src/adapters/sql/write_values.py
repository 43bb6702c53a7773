"""The values of statements that write as a whole, for servers."""

from ordergate.adapters.sql.database import Values
from ordergate.adapters.sql.rows import session_to_row
from ordergate.application.ports.sessions import NewSession, TokenExchange

CHANGING = ("status", "version")
"""The columns that a change of an order may change."""


def bind_change(before: Values, after: Values) -> Values:
    """Return the values that change an order from one row to another."""
    return {
        "owner": after["owner_id"],
        "order_id": after["id"],
        **{f"old_{name}": before[name] for name in CHANGING},
        **{f"new_{name}": after[name] for name in CHANGING},
    }


def bind_start(new: NewSession, limit: int) -> Values:
    """Return the values that start a session.

    SQLAlchemy would set a column of an update to a value of its name.
    """
    return {
        **{f"new_{name}": value for name, value in session_to_row(new.session).items()},
        "password_hash": new.password_hash,
        "kept": limit - 1,
        "new_digest": new.token,
        "token_expires_at": new.token_expires_at,
    }


def bind_rotation(exchange: TokenExchange) -> Values:
    """Return the values that rotate a token."""
    return {
        "old": exchange.old,
        "at": exchange.at,
        "sealed": exchange.sealed,
        "forget": exchange.at - exchange.grace,
        "new_digest": exchange.new,
        "token_expires_at": exchange.expires_at,
    }
