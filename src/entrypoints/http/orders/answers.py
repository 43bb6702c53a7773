"""The answers of the routes of orders, for the OpenAPI document."""

from ordergate.domain.errors import InvalidMoney, InvalidTransition
from ordergate.entrypoints.http.openapi.responses import document_answer, header
from ordergate.entrypoints.http.orders.schemas import EXAMPLE_ORDER
from ordergate.entrypoints.http.problems.mapping import to_problem
from ordergate.entrypoints.http.problems.problem import invalid_parameter
from ordergate.entrypoints.http.requests.conditional import ETAG

_PLACED_ID = 6_021_338_105_430_031
_ADDRESS = "The address of the order, relative to that of the request (RFC 3986, section 4.2)."

READ = document_answer(200, "The order.", ETag=ETAG)
UNCHANGED = document_answer(304, "The order has not changed.", ETag=ETAG)
PLACED = document_answer(
    201,
    "The order is placed.",
    {**EXAMPLE_ORDER, "id": _PLACED_ID, "status": "placed"},
    Location=header(_ADDRESS, f"orders/{_PLACED_ID}"),
    ETag=ETAG,
)
LISTED = document_answer(
    200,
    "A page of your orders, newest first.",
    Link=header("The next page (RFC 8288), if there is one.", '<orders?cursor=AQ…>; rel="next"'),
)
CANCELLED = document_answer(
    200,
    "The order is cancelled.",
    {**EXAMPLE_ORDER, "status": "cancelled"},
    Content_Location=header(_ADDRESS, f"../{EXAMPLE_ORDER['id']}"),
    ETag=header(ETAG["description"], '"2"'),
)

NOT_CANCELLED = to_problem(
    InvalidTransition("The order is shipped; it may become delivered, not cancelled.")
)
WRONG_LINE = invalid_parameter(
    ("body", "lines.0", "An amount in JPY must have at most 0 decimal places.")
)
TOO_MUCH = to_problem(InvalidMoney("An amount must be between 0 and 2^63-1 minor units."))
