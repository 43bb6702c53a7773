"""ordergate users, sessions and orders, as staff use them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.program.command import (
    CHEAP,
    NEW_PASSWORD,
    PASSWORD,
    error_line,
    ordergate,
    wait_until,
)
from tests.support.program.server import Server, Start

Run = Callable[..., str]


@pytest.fixture
def server(seeded: Path, start: Start) -> Server:
    """Serve a database with orders of two users.

    user1 has the orders 1, 3 and 5, user2 has 2, 4 and 6.
    """
    return start("serve", cwd=seeded, **CHEAP)


@pytest.fixture
def seeded(migrated: Path) -> Path:
    done = ordergate("seed", "--users", 2, "--orders", 6, cwd=migrated, PASSWORD=PASSWORD, **CHEAP)
    assert done.returncode == 0
    return migrated


@pytest.fixture
def run(seeded: Path) -> Run:
    """Return a function that runs a command and returns its output."""

    def run(*arguments: object, stdin: str = "") -> str:
        done = ordergate(*arguments, cwd=seeded, stdin=stdin, **CHEAP)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def read_json(run: Run, *arguments: object) -> Any:
    return json.loads(run(*arguments, "--json"))


def sign_in(server: Server, password: str = PASSWORD) -> httpx2.Response:
    form = {"username": "user1", "password": password}
    return httpx2.post(f"{server.url}/login", data=form)


def is_accepted(server: Server, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{server.url}/me", headers=headers).status_code == 200


def test_users_are_listed_in_pages(run: Run, seeded: Path) -> None:
    assert run("users", "list").splitlines() == [
        "ID  NAME   STATUS",
        "1   user1  enabled",
        "2   user2  enabled",
    ]
    first = ordergate("users", "list", "--limit", 1, cwd=seeded)
    assert first.stdout.splitlines()[1:] == ["1   user1  enabled"]
    assert first.stderr == "More accounts follow: --after 1\n"
    assert read_json(run, "users", "list", "--after", 1) == [
        {"id": 2, "name": "user2", "status": "enabled"}
    ]


def test_user_is_shown_by_name_and_by_id(run: Run) -> None:
    shown = {"id": 2, "name": "user2", "status": "enabled", "sessions": 0}
    assert read_json(run, "users", "show", "USER2") == shown
    assert read_json(run, "users", "show", "--id", 2) == shown
    assert run("users", "show", "user2").splitlines() == [
        "ID        2",
        "NAME      user2",
        "STATUS    enabled",
        "SESSIONS  0",
    ]


@pytest.mark.parametrize("command", ["users show", "users disable", "sessions list"])
def test_missing_user_is_reported(seeded: Path, command: str) -> None:
    words = command.split()
    assert error_line(ordergate(*words, "carol", cwd=seeded)) == "there is no user carol"
    assert error_line(ordergate(*words, "--id", 3, cwd=seeded)) == "there is no account 3"
    for both in ([], ["user1", "--id", 1]):
        line = error_line(ordergate(*words, *both, cwd=seeded), status=2)
        assert line.endswith("give a user name or --id")


def test_disabled_user_is_signed_out_and_cannot_sign_in(run: Run, server: Server) -> None:
    token = sign_in(server).json()["access_token"]
    assert is_accepted(server, token)
    assert run("users", "disable", "user1") == "User user1 is disabled.\n"
    wait_until(lambda: not is_accepted(server, token))
    assert sign_in(server).json()["error"] == "invalid_grant"
    assert read_json(run, "users", "show", "user1")["status"] == "disabled"
    assert run("users", "enable", "user1") == "User user1 is enabled.\n"
    assert sign_in(server).status_code == 200


def test_password_of_staff_ends_all_sessions(run: Run, server: Server) -> None:
    token = sign_in(server).json()["access_token"]
    done = run("users", "set-password", "user1", "--password-stdin", stdin=NEW_PASSWORD)
    assert done == "User user1 has a new password; all sessions have ended.\n"
    wait_until(lambda: not is_accepted(server, token))
    assert sign_in(server).status_code == 400
    assert sign_in(server, NEW_PASSWORD).status_code == 200


def test_password_of_staff_follows_the_rules(seeded: Path) -> None:
    done = ordergate(
        "users", "set-password", "user1", "--password-stdin", cwd=seeded, stdin="short", **CHEAP
    )
    assert "at least" in error_line(done)


def test_new_password_of_a_disabled_user_names_the_next_step(run: Run) -> None:
    run("users", "disable", "user1")
    done = run("users", "set-password", "--id", 1, "--password-stdin", stdin=NEW_PASSWORD)
    assert done.splitlines()[1] == "The account is still disabled: ordergate users enable user1"


def test_sessions_are_ended_by_staff(run: Run, seeded: Path, server: Server) -> None:
    tokens = [sign_in(server).json()["access_token"] for _ in range(3)]
    newest, *_ = sessions = read_json(run, "sessions", "list", "user1")
    assert len(sessions) == 3
    assert newest["address"] == "127.0.0.1"
    done = run("sessions", "end", "user1", "--session", newest["id"])
    assert done == f"Session {newest['id']} of user user1 has ended.\n"
    wait_until(lambda: [is_accepted(server, each) for each in tokens] == [True, True, False])
    again = ordergate("sessions", "end", "user1", "--session", newest["id"], cwd=seeded)
    assert "has no active session" in error_line(again)
    assert run("sessions", "end", "user1") == "All sessions of user user1 have ended.\n"
    wait_until(lambda: not any(is_accepted(server, each) for each in tokens))
    assert read_json(run, "sessions", "list", "user1") == []


def test_orders_of_a_user_are_listed(run: Run, seeded: Path) -> None:
    listed = read_json(run, "orders", "list", "--owner", "user1")
    assert sorted(order["id"] for order in listed) == [1, 3, 5]
    assert listed[0].keys() == {"id", "status", "placed", "lines", "total"}
    assert len(read_json(run, "orders", "list", "--owner-id", 1, "--limit", 2)) == 2
    status = listed[0]["status"]
    found = read_json(run, "orders", "list", "--owner", "user1", "--status", status)
    assert {order["status"] for order in found} == {status}
    nameless = error_line(ordergate("orders", "list", cwd=seeded), status=2)
    assert nameless.endswith("give --owner or --owner-id")


def test_order_is_shown_with_its_lines(run: Run, seeded: Path) -> None:
    order = read_json(run, "orders", "show", 2)
    assert (order["id"], order["owner"], order["user"]) == (2, 2, "user2")
    assert order["lines"][0].keys() == {"quantity", "sku", "name", "unit_price"}
    text = run("orders", "show", 2)
    assert "QUANTITY  SKU" in text
    assert f"TOTAL    {order['total']}" in text
    assert error_line(ordergate("orders", "show", 99, cwd=seeded)) == "there is no order 99"
