"""Statements that change an order under its owner's lock."""

from collections.abc import Sequence

from sqlalchemy import text

from ordergate.adapters.sql.database import Values
from ordergate.adapters.sql.rows import LINE_NAMES
from ordergate.adapters.sql.tables import CLOSED

# The lock waits for other writes of the owner, and the condition is evaluated on the newest row
# then. A key that is there makes the later parts insert nothing. Foreign keys are checked at the
# end of the statement, so the key may be inserted before its order.
_OWNER = """
WITH owner AS (
  SELECT id FROM users
  WHERE id = CAST(:owner_id AS bigint) AND NOT starts_with(username, CAST(:closed AS varchar))
  FOR NO KEY UPDATE
),"""
_KEY = """
unused AS (
  INSERT INTO idempotency_keys (owner_id, key, order_id, expires_at)
  SELECT id, CAST(:key AS varchar), CAST(:id AS bigint), CAST(:expires_at AS timestamptz)
  FROM owner
  ON CONFLICT (owner_id, key) DO NOTHING
  RETURNING owner_id AS id
),"""
_ORDER = """
placed AS (
  INSERT INTO orders (owner_id, id, status, placed_at, currency, version)
  SELECT id, CAST(:id AS bigint), CAST(:status AS varchar), CAST(:placed_at AS timestamptz),
    CAST(:currency AS varchar), CAST(:version AS integer)
  FROM {source}
  RETURNING owner_id, id
),
lines AS (
  INSERT INTO order_lines (owner_id, order_id, position, sku, name, quantity, unit_price)
  SELECT placed.owner_id, placed.id, line.*
  FROM placed, unnest(
    CAST(:position AS integer[]), CAST(:sku AS varchar[]), CAST(:name AS varchar[]),
    CAST(:quantity AS integer[]), CAST(:unit_price AS bigint[])
  ) AS line
)
SELECT id FROM placed"""

PLACE = text(_OWNER + _ORDER.format(source="owner"))
PLACE_WITH_KEY = text(_OWNER + _KEY + _ORDER.format(source="unused"))
"""Each returns the id of the placed order, and nothing for a closed account or a key in use."""

UPDATE = text("""
WITH owner AS (
  SELECT id FROM users WHERE id = CAST(:owner_id AS bigint) FOR NO KEY UPDATE
)
UPDATE orders
SET status = CAST(:status AS varchar), version = CAST(:version AS integer)
FROM owner
WHERE orders.owner_id = CAST(:owner_id AS bigint) AND orders.id = CAST(:id AS bigint)
  AND orders.status = CAST(:old_status AS varchar)
  AND orders.version = CAST(:old_version AS integer)""")


def list_values(order: Values, lines: Sequence[Values], key: Values | None) -> Values:
    """Return the values that place an order.

    Rows of lines become one array for each column.
    """
    columns = {name: [line[name] for line in lines] for name in LINE_NAMES}
    return {"closed": CLOSED, **(key or {}), **order, **columns}
