import json
from collections.abc import Iterator

import pytest
from starlette.exceptions import HTTPException

from ordergate.application.errors import (
    ApplicationError,
    InvalidCredentials,
    Overloaded,
    RecordRefused,
    RecordUnreadable,
)
from ordergate.domain.errors import DomainError, InvalidMoney, InvalidTransition
from ordergate.entrypoints.http.problems import catalog
from ordergate.entrypoints.http.problems.catalog import INTERNAL, PROBLEMS
from ordergate.entrypoints.http.problems.mapping import to_problem
from ordergate.entrypoints.http.problems.problem import Problem, ProblemDetails, problem_for_status


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


@pytest.mark.parametrize("kind", list(subclasses(ApplicationError)), ids=lambda kind: kind.__name__)
def test_every_error_of_the_application_has_an_answer(kind: type[ApplicationError]) -> None:
    assert kind in PROBLEMS


@pytest.mark.parametrize("kind", list(subclasses(DomainError)), ids=lambda kind: kind.__name__)
def test_broken_rules_are_client_errors(kind: type[DomainError]) -> None:
    if kind is InvalidTransition:  # the request was valid, and the order no longer exists
        assert to_problem(kind("why")) == Problem(409, "why", "invalid-transition")
    else:
        assert to_problem(kind("why")) == Problem(422, "why", "rule-broken")


def test_problem_is_written_as_rfc_9457_says() -> None:
    response = to_problem(InvalidCredentials()).response("the-id")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert json.loads(bytes(response.body)) == {
        "type": "urn:problem-type:ordergate:invalid-grant",
        "title": "Bad Request",
        "status": 400,
        "detail": "Incorrect username or password.",
        "error": "invalid_grant",
        "error_description": "Incorrect username or password.",
        "request_id": "the-id",
    }


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (404, "Not Found"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
        (599, "Error"),
    ],
)
def test_titles_are_the_reason_phrases_of_rfc_9110(status: int, phrase: str) -> None:
    assert problem_for_status(status).body("the-id")["title"] == phrase


def test_unexpected_error_is_answered_without_details() -> None:
    assert to_problem(RuntimeError("SELECT secret FROM /etc/passwd")) == INTERNAL


def test_overload_is_answered_with_retry_after() -> None:
    assert to_problem(Overloaded(retry_after=7)).headers["Retry-After"] == "7"


@pytest.mark.parametrize("kind", [RecordUnreadable, RecordRefused])
def test_unreadable_record_is_named_in_the_log_alone(
    kind: type[RecordUnreadable | RecordRefused],
) -> None:
    error = kind("order 5 of account 1", "it has no lines")
    assert str(error).startswith("the order 5 of account 1 cannot be ")
    assert str(error).endswith(": it has no lines")
    assert "order 5" not in to_problem(error).detail


def test_headers_of_a_status_are_kept() -> None:
    error = HTTPException(405, headers={"Allow": "GET"})
    assert to_problem(error) == problem_for_status(405, {"Allow": "GET"})
    assert to_problem(error).headers == {"Allow": "GET"}


@pytest.mark.parametrize(
    "problem",
    [*PROBLEMS.values(), problem_for_status(404), problem_for_status(418)],
    ids=lambda p: p.name,
)
def test_every_problem_is_as_documented(problem: Problem) -> None:
    ProblemDetails.model_validate(problem.body("the-id"))


def test_details_are_sentences() -> None:
    problems = [each for each in vars(catalog).values() if isinstance(each, Problem)]
    problems += [*PROBLEMS.values(), *map(problem_for_status, range(400, 600))]
    problems += [catalog.make_insufficient_scope(["account"]), catalog.invalid_scope(["account"])]
    assert [each.detail for each in problems if not each.detail.endswith(".")] == []


def test_broken_rules_have_their_own_names() -> None:
    assert to_problem(InvalidMoney("why")).name == "rule-broken"
