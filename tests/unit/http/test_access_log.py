import io
import json

from ordergate.domain.user import UserId
from ordergate.entrypoints.http.middleware.access_log import log_request
from ordergate.entrypoints.http.middleware.observing import FinishedRequest
from tests.support.program.log_lines import read_line

REQUEST = FinishedRequest(
    method="GET",
    route="/orders/{id}",
    status=200,
    seconds=0.00123456,
    size=310,
    user=UserId(7),
    address="192.0.2.1",
    request_id="the-id",
)


def test_request_is_one_line_at_any_level_of_the_log(error_log: io.StringIO) -> None:
    log_request(REQUEST)
    assert read_line(error_log.getvalue()) == {
        "event": "request_finished",
        "level": "info",
        "logger": "ordergate.access",
        "method": "GET",
        "route": "/orders/{id}",
        "status": 200,
        "ms": 1.235,
        "bytes": 310,
        "address": "192.0.2.1",
        "request_id": "the-id",
        "user_id": 7,
    }


def test_line_of_an_anonymous_request_names_no_user(error_log: io.StringIO) -> None:
    log_request(REQUEST._replace(user=None))
    assert "user_id" not in json.loads(error_log.getvalue())
