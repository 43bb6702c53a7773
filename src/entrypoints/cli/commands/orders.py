"""`ordergate orders`: orders for staff."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from ordergate.application.errors import AmbiguousOrderId, OrderNotFound
from ordergate.domain.order import Order, OrderId, OrderStatus
from ordergate.domain.user import MAX_ID, UserId
from ordergate.entrypoints.cli.accounts import find_user, name_account
from ordergate.entrypoints.cli.listing import AsJson, limit_option, print_list, print_record
from ordergate.entrypoints.cli.runtime import (
    Failure,
    load_container,
    make_number_parser,
    with_storage,
)
from ordergate.entrypoints.cli.staff_use_cases import StaffUseCases
from ordergate.entrypoints.container import Container

T = TypeVar("T")

orders = typer.Typer(help="Orders.", no_args_is_help=True)

_MAX_NAMED = 10
_MOST_LISTED = 1_000

Id = Annotated[
    int, typer.Argument(metavar="ID", parser=make_number_parser(1, MAX_ID), help="The order.")
]
Owner = Annotated[str | None, typer.Option(metavar="NAME", help="Whose order it is, by user name.")]
OwnerId = Annotated[
    int | None,
    typer.Option(
        parser=make_number_parser(1, MAX_ID), metavar="ID", help="Whose order it is, by account id."
    ),
]


@orders.command("list")
def list_orders(
    owner: Owner = None,
    owner_id: OwnerId = None,
    *,
    status: Annotated[
        OrderStatus | None, typer.Option(metavar="STATUS", help=f"{', '.join(OrderStatus)}.")
    ] = None,
    limit: Annotated[int, limit_option(_MOST_LISTED)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the orders of a user, newest first."""
    _refuse_two_owners(owner, owner_id)
    container = load_container()

    async def listed() -> None:
        whose = await _find_owner(container, owner, owner_id)
        if whose is None:
            raise typer.BadParameter("give --owner or --owner-id")
        page = await container.list_own_orders()(owner=whose, status=status, limit=limit)
        print_list(
            ("id", "status", "placed", "lines", "total"),
            [
                (each.id, each.status, each.placed_at, len(each.lines), _format_total(each))
                for each in page.orders
            ],
            as_json=as_json,
        )

    with_storage(container, listed)


@orders.command("show")
def show_order(
    order_id: Id, owner: Owner = None, owner_id: OwnerId = None, *, as_json: AsJson = False
) -> None:
    """Show an order and its lines.

    Several users may have an order with one id; the owner distinguishes them.
    """
    container = load_container()

    async def show(whose: UserId | None) -> None:
        order = await StaffUseCases(container).find_order(OrderId(order_id), owner=whose)
        record = {
            "id": order.id,
            "owner": order.owner,
            "user": await name_account(container, order.owner),
            "status": order.status,
            "placed": order.placed_at,
            "version": order.version,
            "total": _format_total(order),
        }
        lines = [(line.quantity, line.sku, line.name, f"{line.unit_price}") for line in order.lines]
        names = ("quantity", "sku", "name", "unit_price")
        if as_json:
            record["lines"] = [dict(zip(names, line, strict=True)) for line in lines]
        print_record(record, as_json=as_json)
        if not as_json:
            typer.echo()
            print_list(names, lines, as_json=False)

    _run_with_owner(container, order_id, owner, owner_id, show)


@orders.command("advance")
def advance_order(
    order_id: Id,
    status: Annotated[
        OrderStatus, typer.Argument(metavar="STATUS", help=f"{', '.join(OrderStatus)}.")
    ],
    owner: Owner = None,
    owner_id: OwnerId = None,
) -> None:
    """Set an order to its next status.

    Several users may have an order with one id; the owner distinguishes them.
    """
    container = load_container()

    async def advance(whose: UserId | None) -> str:
        order = await container.advance_order()(OrderId(order_id), status, owner=whose)
        return (
            f"Order {order.id} of {await name_account(container, order.owner)} is {order.status}."
        )

    typer.echo(_run_with_owner(container, order_id, owner, owner_id, advance))


def _run_with_owner(
    container: Container,
    order_id: int,
    owner: str | None,
    owner_id: int | None,
    work: Callable[[UserId | None], Awaitable[T]],
) -> T:
    """Run a job on an order; name a missing owner.

    Raises `Failure`.
    """

    async def run() -> T:
        whose = await _find_owner(container, owner, owner_id)
        try:
            return await work(whose)
        except OrderNotFound:
            of = f" of {await name_account(container, whose)}" if whose else ""
            raise Failure(f"there is no order {order_id}{of}") from None
        except AmbiguousOrderId as error:
            names = [await name_account(container, each) for each in error.owners[:_MAX_NAMED]]
            more = " and others" if len(error.owners) > _MAX_NAMED else ""
            raise Failure(
                f"several users have an order {order_id}: {', '.join(names)}{more};"
                " name one by --owner or --owner-id"
            ) from None

    _refuse_two_owners(owner, owner_id)
    return with_storage(container, run)


def _refuse_two_owners(owner: str | None, owner_id: int | None) -> None:
    if owner is not None and owner_id is not None:
        raise typer.BadParameter("--owner and --owner-id exclude each other")


async def _find_owner(
    container: Container, owner: str | None, owner_id: int | None
) -> UserId | None:
    """Return the id of an owner.

    An account that has only an id may be closed or external.
    """
    if owner is not None:
        return (await find_user(container, owner, None)).id
    return None if owner_id is None else UserId(owner_id)


def _format_total(order: Order) -> str:
    return f"{order.total} {order.currency}"
