"""`ordergate orders`: orders for staff."""

from typing import Annotated

import typer

from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.application.find_account import find_account
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import MAX_ID, UserId
from ordergate.entrypoints.cli.runtime import (
    Failure,
    load_container,
    whole_number,
    with_storage,
)
from ordergate.entrypoints.container import Container

orders = typer.Typer(help="Orders.", no_args_is_help=True)

_MAX_NAMED = 10


@orders.command("advance")
def advance_order(
    order_id: Annotated[
        int, typer.Argument(metavar="ID", parser=whole_number(1, MAX_ID), help="The order.")
    ],
    status: Annotated[
        OrderStatus, typer.Argument(metavar="STATUS", help=f"{', '.join(OrderStatus)}.")
    ],
    owner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose order it is, by user name.")
    ] = None,
    owner_id: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1, MAX_ID), metavar="ID", help="Whose order it is, by account id."
        ),
    ] = None,
) -> None:
    """Set an order to its next status.

    Several users may have an order with one id; the owner distinguishes them.
    """
    if owner is not None and owner_id is not None:
        raise typer.BadParameter("--owner and --owner-id exclude each other")
    container = load_container()

    async def advance() -> str:
        whose = UserId(owner_id) if owner_id else await _account(container, owner)
        try:
            order: Order = await container.advance_order()(OrderId(order_id), status, owner=whose)
        except OrderNotFound:
            of = f" of {await _name(container, whose)}" if whose else ""
            raise Failure(f"there is no order {order_id}{of}") from None
        except AmbiguousOrderId as error:
            names = [await _name(container, each) for each in error.owners[:_MAX_NAMED]]
            more = " and others" if len(error.owners) > _MAX_NAMED else ""
            raise Failure(
                f"several users have an order {order_id}: {', '.join(names)}{more};"
                " name one by --owner or --owner-id"
            ) from None
        return f"Order {order.id} of {await _name(container, order.owner)} is {order.status}."

    typer.echo(with_storage(container, advance))


async def _account(container: Container, owner: str | None) -> UserId | None:
    if owner is None:
        return None
    user = await find_account(container.users(), owner)
    if user is None:
        raise Failure(f"there is no user {owner}")
    return UserId(user.id)


async def _name(container: Container, user_id: UserId) -> str:
    """Name an account; closed and external ones have an id only."""
    user = await container.users().get(user_id)
    return f"{user.username}" if user else f"account {user_id}"
