"""The floor of the framework: a FastAPI route with a constant model."""

from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

from bench.apps.sample import ORDER


class OrderLine(BaseModel):
    sku: str
    name: str
    quantity: int
    unit_price: str


class Order(BaseModel):
    id: int
    status: str
    placed_at: datetime
    currency: str
    total: str
    lines: list[OrderLine]


CONSTANT = Order.model_validate_json(ORDER)
app = FastAPI()


@app.get("/order")
async def read_order(id: int) -> Order:
    assert id > 0
    return CONSTANT
