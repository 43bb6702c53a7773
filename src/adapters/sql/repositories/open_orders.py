"""The condition that keeps an account open."""

from itertools import pairwise

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import col

from ordergate.adapters.sql.tables import OrderRow
from ordergate.domain.order import FINAL_STATUSES
from ordergate.domain.user import UserId


def has_open_orders(user_id: UserId) -> ColumnElement[bool]:
    """Match orders whose status is not final, even an unknown one.

    Each range between final statuses begins at one position of the index. NOT IN, or no order on
    PostgreSQL, would scan all orders.
    """
    status = col(OrderRow.status)
    final = sorted(FINAL_STATUSES)
    ranges = [
        status < final[0],
        *(and_(status > low, status < high) for low, high in pairwise(final)),
        status > final[-1],
    ]
    mine = select(status).where(col(OrderRow.owner_id) == user_id).order_by(status).limit(1)
    return or_(*(mine.where(each).scalar_subquery().is_not(None) for each in ranges))
