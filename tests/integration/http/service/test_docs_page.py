"""`/docs` in a real browser."""

import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.command import PASSWORD, SECONDS
from tests.support.server import Server

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--window-size=1200,2000",
]
ORDER = "#operations-orders-read_order_by_query"

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (DRIVER and BROWSER), reason="no browser: install chromium and chromedriver"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in [*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(option)
    with Chrome(options, ChromeService(DRIVER)) as browser:
        yield browser


@pytest.fixture
def page(browser: Chrome, served: Server) -> Chrome:
    """Return the page as it is when opened: it keeps no token, and the log is of it alone."""
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


def authorize(page: Chrome, username: str) -> None:
    click(page, ".btn.authorize")
    write(page, "#oauth_username", username)
    write(page, "#oauth_password", PASSWORD)
    click(page, "[aria-label='Apply given OAuth2 credentials']")
    # Closing the dialog earlier would race with the token on its way.
    read(page, "[aria-label='Remove authorization']")
    click(page, ".btn-done")


def try_out_order_1(page: Chrome) -> tuple[str, Any]:
    """Execute `GET /order?id=1`, and return the status and the body that the page shows."""
    click(page, f"{ORDER} .opblock-summary-control")
    write(page, f"{ORDER} .parameters input", "1")
    click(page, f"{ORDER} .execute")
    answer = f"{ORDER} .live-responses-table .response"
    body = json.loads(read(page, f"{answer} .highlight-code code"))
    return read(page, f"{answer} .response-col_status").split()[0], body


def hosts(page: Chrome) -> set[str]:
    """Return where everything came from that the page has loaded."""
    loaded = page.execute_script("return performance.getEntries().map(entry => entry.name)")
    return {urlsplit(name).netloc for name in loaded if name.startswith("http")}


def complaints(page: Chrome) -> list[str]:
    """Return what the console has shown since it was last asked, but for advice on style."""
    log = page.get_log("browser")  # type: ignore[no-untyped-call] # of selenium
    return [entry["message"] for entry in log if entry["level"] in {"WARNING", "SEVERE"}]


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
    paths = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    assert sorted(shown) == sorted(
        (method.upper(), path) for path, methods in paths.items() for method in methods
    )


def test_authorize_button_signs_in(page: Chrome, served: Server) -> None:
    authorize(page, "user1")
    form = {"username": "user1", "password": PASSWORD}
    token = httpx.post(f"{served.url}/login", data=form).json()["access_token"]
    order = httpx.get(f"{served.url}/order?id=1", headers={"Authorization": f"Bearer {token}"})
    assert try_out_order_1(page) == ("200", order.json())
    assert order.json()["id"] == 1


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
