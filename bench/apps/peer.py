"""The same order routes on fastapi-users, set up by its documentation.

    python -m bench.apps.peer     # creates and fills the tables

BENCH_DATABASE is a SQLAlchemy URL of an asynchronous driver. It hashes passwords with
fastapi-users' default: Argon2 of pwdlib.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi_users import BaseUserManager, FastAPIUsers, IntegerIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTable, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import SQLModel, col

from bench.apps import sample
from bench.apps.shop import NewOrder, Order, OrderBody, Page, make_order, order_to_body, seeded

SECRET = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"

engine = create_async_engine(os.environ.get("BENCH_DATABASE", "sqlite+aiosqlite:///peer.db"))
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Table(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTable[int], Table):
    id: Mapped[int] = mapped_column(primary_key=True)


class UserManager(IntegerIDMixin, BaseUserManager[User, int]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def get_user_db(session: SessionDep) -> AsyncIterator[Any]:
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(users: Annotated[Any, Depends(get_user_db)]) -> AsyncIterator[Any]:
    yield UserManager(users)


def get_strategy() -> Any:
    return JWTStrategy(secret=SECRET, lifetime_seconds=86_400)


backend = AuthenticationBackend(
    name="jwt", transport=BearerTransport(tokenUrl="login"), get_strategy=get_strategy
)
accounts = FastAPIUsers[User, int](get_user_manager, [backend])
app.include_router(accounts.get_auth_router(backend))
CurrentUser = Annotated[Any, Depends(accounts.current_user(active=True))]


@app.get("/order")
async def read_order(id: int, session: SessionDep, user: CurrentUser) -> OrderBody:
    order = await session.get(Order, id)
    if order is None or order.owner_id != user.id:
        raise HTTPException(404, "Order not found")
    return order_to_body(order)


@app.get("/orders")
async def list_orders(session: SessionDep, user: CurrentUser, limit: int = 50) -> Page:
    query = select(Order).where(col(Order.owner_id) == user.id)
    orders = await session.scalars(query.order_by(col(Order.placed_at).desc()).limit(limit))
    return Page(items=[order_to_body(order) for order in orders])


@app.post("/orders", status_code=201)
async def place_order(wish: NewOrder, session: SessionDep, user: CurrentUser) -> OrderBody:
    order = make_order(wish, user.id)
    session.add(order)
    await session.commit()
    return order_to_body(order)


async def prepare() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
        await connection.run_sync(Table.metadata.create_all)
    hashed = PasswordHelper().hash(sample.PASSWORD)
    async with sessions() as session:
        for number in range(1, sample.USERS + 1):
            email = f"user{number}@orders.example"
            session.add(User(id=number, email=email, hashed_password=hashed, is_active=True))
        session.add_all(seeded())
        await session.commit()


if __name__ == "__main__":
    asyncio.run(prepare())
