"""An order service in the style of tutorials.

    python -m bench.apps.tutorial     # creates and fills the tables

It uses FastAPI, a SQLModel session for each request, HS256 and passlib. BENCH_DATABASE is a
SQLAlchemy URL, of SQLite or of PostgreSQL with psycopg.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from passlib.context import CryptContext
from sqlmodel import Field, Session, SQLModel, col, create_engine, select

from bench.apps import sample
from bench.apps.shop import NewOrder, Order, OrderBody, Page, make_order, order_to_body, seeded

SECRET_KEY = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
ALGORITHM = "HS256"
DATABASE = os.environ.get("BENCH_DATABASE", "sqlite:///tutorial.db")
SQLITE = DATABASE.startswith("sqlite")

engine = create_engine(DATABASE, connect_args={"check_same_thread": False} if SQLITE else {})
passwords = CryptContext(schemes=["bcrypt"], bcrypt__default_rounds=sample.BCRYPT_COST)
bearer = OAuth2PasswordBearer(tokenUrl="login")
app = FastAPI()


class User(SQLModel, table=True):
    __tablename__ = "users"

    id: int | None = Field(default=None, primary_key=True)
    username: str = Field(index=True, unique=True)
    hashed_password: str


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


async def get_current_user(token: Annotated[str, Depends(bearer)], session: SessionDep) -> User:
    refused = HTTPException(
        401, "Could not validate credentials", headers={"WWW-Authenticate": "Bearer"}
    )
    try:
        username = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM])["sub"]
    except (jwt.InvalidTokenError, KeyError):
        raise refused from None
    user = session.exec(select(User).where(User.username == username)).first()
    if user is None:
        raise refused
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


@app.post("/login")
async def login(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], session: SessionDep
) -> dict[str, str]:
    user = session.exec(select(User).where(User.username == form.username)).first()
    if user is None or not passwords.verify(form.password, user.hashed_password):
        raise HTTPException(400, "Incorrect username or password")
    until = datetime.now(UTC) + timedelta(days=1)
    token = jwt.encode({"sub": user.username, "exp": until}, SECRET_KEY, algorithm=ALGORITHM)
    return {"access_token": token, "token_type": "bearer"}


@app.get("/order")
async def read_order(id: int, session: SessionDep, user: CurrentUser) -> OrderBody:
    order = session.get(Order, id)
    if order is None or order.owner_id != user.id:
        raise HTTPException(404, "Order not found")
    return order_to_body(order)


@app.get("/orders")
async def list_orders(session: SessionDep, user: CurrentUser, limit: int = 50) -> Page:
    query = select(Order).where(Order.owner_id == user.id)
    orders = session.exec(query.order_by(col(Order.placed_at).desc()).limit(limit)).all()
    return Page(items=[order_to_body(order) for order in orders])


@app.post("/orders", status_code=201)
async def place_order(wish: NewOrder, session: SessionDep, user: CurrentUser) -> OrderBody:
    order = make_order(wish, user.id or 0)
    session.add(order)
    session.commit()
    session.refresh(order)
    return order_to_body(order)


def prepare() -> None:
    SQLModel.metadata.create_all(engine)
    hashed = passwords.hash(sample.PASSWORD)
    with Session(engine) as session:
        for number in range(1, sample.USERS + 1):
            session.add(User(id=number, username=f"user{number}", hashed_password=hashed))
        session.add_all(seeded())
        session.commit()


if __name__ == "__main__":
    prepare()
