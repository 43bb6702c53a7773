"""`/docs` in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from ordergate.entrypoints.cli.commands.serving import DEMO_PASSWORD
from tests.support.program.browser import complaints, hosts, needs_browser, open_browser
from tests.support.program.command import PASSWORD, SECONDS, ordergate
from tests.support.program.server import Server, Start
from tests.support.proxies.stripping_proxy import stripping_proxy

pytestmark = [pytest.mark.process, needs_browser]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("browser"), "--window-size=1200,2000") as browser:
        yield browser


@pytest.fixture
def page(browser: Chrome, served: Server) -> Chrome:
    """Return the page as opened, without a token, with an empty log."""
    browser.get("about:blank")
    complaints(browser)
    browser.get(f"{served.url}/docs")
    return browser


def click(page: Chrome, selector: str) -> None:
    wait = WebDriverWait(page, SECONDS)
    wait.until(element_to_be_clickable((By.CSS_SELECTOR, selector))).click()


def write(page: Chrome, selector: str, text: str) -> None:
    wait = WebDriverWait(page, SECONDS)
    wait.until(element_to_be_clickable((By.CSS_SELECTOR, selector))).send_keys(text)


def read(page: Chrome, selector: str) -> str:
    """Wait until the page shows this, and return its text."""
    return WebDriverWait(page, SECONDS).until(
        lambda page: page.find_element(By.CSS_SELECTOR, selector).text
    )


def authorize(page: Chrome, username: str, password: str = PASSWORD) -> None:
    click(page, ".btn.authorize")
    write(page, "#oauth_username", username)
    write(page, "#oauth_password", password)
    click(page, "[aria-label='Apply given OAuth2 credentials']")
    # Closing the dialog earlier would race with the token on its way.
    read(page, "[aria-label='Remove authorization']")
    click(page, ".btn-done")


def execute(page: Chrome, tag: str, operation: str) -> tuple[str, str]:
    """Execute an operation with the page's values; return status and body."""
    block = f"#operations-{tag}-{operation}"
    click(page, f"{block} .opblock-summary-control")
    click(page, f"{block} .execute")
    answer = f"{block} .live-responses-table .response"
    status = read(page, f"{answer} .response-col_status").split()[0]
    bodies = page.find_elements(By.CSS_SELECTOR, f"{answer} .highlight-code code")
    body = bodies[0].text if bodies else ""
    click(page, f"{block} .opblock-summary-control")  # each open block slows the page
    return status, body


def try_out_order_1(page: Chrome) -> tuple[str, Any]:
    """Execute `GET /order?id=1`; return the status and body shown."""
    status, body = execute(page, "orders", "read_order_by_query")
    return status, json.loads(body)


def test_page_shows_every_operation(page: Chrome, served: Server) -> None:
    read(page, ".opblock")
    shown = [
        tuple(
            block.find_element(By.CSS_SELECTOR, f".opblock-summary-{part}").text.replace(
                "\u200b", ""
            )
            for part in ("method", "path")
        )
        for block in page.find_elements(By.CSS_SELECTOR, ".opblock")
    ]
    paths = httpx2.get(f"{served.url}/openapi.json").json()["paths"]
    assert sorted(shown) == sorted(
        (method.upper(), path) for path, methods in paths.items() for method in methods
    )


def test_authorize_button_signs_in(page: Chrome, served: Server) -> None:
    authorize(page, "user1")
    form = {"username": "user1", "password": PASSWORD}
    token = httpx2.post(f"{served.url}/login", data=form).json()["access_token"]
    order = httpx2.get(f"{served.url}/order?id=1", headers={"Authorization": f"Bearer {token}"})
    assert try_out_order_1(page) == ("200", order.json())
    assert order.json()["id"] == 1


def test_page_works_behind_a_proxy_that_removes_a_prefix(
    browser: Chrome, served: Server, tmp_path: Path
) -> None:
    with stripping_proxy("own", served.url, tmp_path, "") as address:
        browser.get(f"{address}/shop/docs")
        authorize(browser, "user1")
        status, order = try_out_order_1(browser)
        assert (status, order["id"]) == ("200", 1)
        assert hosts(browser) == {urlsplit(address).netloc}


def test_docs_page_shows_a_refusal_without_authorization(page: Chrome, served: Server) -> None:
    status, problem = try_out_order_1(page)
    assert (status, problem["type"]) == ("401", "urn:problem-type:ordergate:token-required")
    [error_line] = WebDriverWait(page, SECONDS).until(complaints)
    assert error_line.startswith(f"{served.url}/order?id=1 - Failed to load resource")


def test_docs_page_requests_no_other_host_and_logs_no_error(page: Chrome, served: Server) -> None:
    authorize(page, "user1")
    try_out_order_1(page)
    assert hosts(page) == {urlsplit(served.url).netloc}
    assert complaints(page) == []


@pytest.fixture(scope="module")
def demo(start_once: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Serve an order of user1 and none of user2.

    The names and passwords are those of the demo.
    """
    folder = tmp_path_factory.mktemp("demo")
    settings = {"BCRYPT_COST": 4, "SIGN_UP": True, "PASSWORD": DEMO_PASSWORD}
    for arguments in (["migrate"], ["seed", "--users", 2, "--orders", 1]):
        assert ordergate(*arguments, cwd=folder, **settings).returncode == 0
    return start_once("serve", cwd=folder, BCRYPT_COST=4, SIGN_UP=True)


def test_first_execution_of_every_operation_succeeds(browser: Chrome, demo: Server) -> None:
    """Execute `close_account` as user2, who has no open orders."""
    paths = httpx2.get(f"{demo.url}/openapi.json").json()["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    statuses: dict[str, str] = {}
    signed_in: str | None = None
    # What changes the password of user1 comes last.
    for operation in sorted(operations, key=lambda each: each["operationId"] == "change_password"):
        name = operation["operationId"]
        user = "user2" if name == "close_account" else "user1"
        if user != signed_in:
            browser.get("about:blank")
            browser.get(f"{demo.url}/docs")
            authorize(browser, user, DEMO_PASSWORD)
        statuses[name], _ = execute(browser, operation["tags"][0], name)
        signed_in = None if name in {"close_account", "end_session", "end_sessions"} else user
    assert {name: status for name, status in statuses.items() if not status.startswith("2")} == {}
    assert len(statuses) == len(operations) > 17
