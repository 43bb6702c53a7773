"""`/docs` in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.conftest import PASSWORD, SECONDS, Server

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

pytestmark = pytest.mark.skipif(
    not (DRIVER and BROWSER), reason="no browser: install chromium and chromedriver"
)


@pytest.fixture
def page(served: Server, tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in [*OPTIONS, f"--user-data-dir={tmp_path}"]:
        options.add_argument(option)
    with Chrome(options, ChromeService(DRIVER)) as page:
        page.get(f"{served.url}/docs")
        yield page


def click(page: Chrome, selector: str) -> None:
    wait = WebDriverWait(page, SECONDS)
    wait.until(element_to_be_clickable((By.CSS_SELECTOR, selector))).click()


def read(page: Chrome, selector: str) -> str:
    """Wait until the page shows this, and return its text."""
    return WebDriverWait(page, SECONDS).until(
        lambda page: page.find_element(By.CSS_SELECTOR, selector).text
    )


def try_out_order_1(page: Chrome) -> tuple[str, str]:
    """Execute `GET /order?id=1`, and return the status and the body that the page shows."""
    operation = "#operations-orders-read_order_by_query"
    click(page, f"{operation} .opblock-summary-control")
    WebDriverWait(page, SECONDS).until(
        element_to_be_clickable((By.CSS_SELECTOR, f"{operation} .execute"))
    )
    page.find_element(By.CSS_SELECTOR, f"{operation} .parameters input").send_keys("1")
    click(page, f"{operation} .execute")
    answer = f"{operation} .live-responses-table .response"
    return read(page, f"{answer} .response-col_status"), read(page, f"{answer} .highlight-code")


def test_the_page_shows_every_operation_and_asks_no_other_host(
    page: Chrome, served: Server
) -> None:
    read(page, "#operations-orders-read_order")
    shown = page.find_elements(By.CSS_SELECTOR, ".opblock-summary-path")
    paths = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    assert [element.text.replace("\u200b", "") for element in shown] == list(paths)
    loaded = page.execute_script("return performance.getEntries().map(entry => entry.name)")
    hosts = {urlsplit(name).netloc for name in loaded if name.startswith("http")}
    assert hosts == {urlsplit(served.url).netloc}
    log = page.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in log] == []


def test_the_authorize_button_signs_in(page: Chrome) -> None:
    click(page, ".btn.authorize")
    dialog = ".dialog-ux .auth-container"
    read(page, f"{dialog} h4")
    page.find_element(By.CSS_SELECTOR, f"{dialog} input[type=text]").send_keys("user1")
    page.find_element(By.CSS_SELECTOR, f"{dialog} input[type=password]").send_keys(PASSWORD)
    click(page, f"{dialog} .btn.authorize")
    click(page, f"{dialog} .btn-done")
    status, body = try_out_order_1(page)
    assert status.split()[0] == "200"
    assert '"total": "69.60"' in body


def test_without_it_an_order_is_refused(page: Chrome) -> None:
    status, body = try_out_order_1(page)
    assert status.split()[0] == "401"
    assert "Sign in at /login" in body
