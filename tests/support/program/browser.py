"""A real browser without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

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
]
needs_browser = pytest.mark.skipif(
    not (DRIVER and BROWSER), reason="no browser: install chromium and chromedriver"
)


@contextmanager
def open_browser(folder: Path, *options: str) -> Iterator[Chrome]:
    """Open a browser that keeps its state in a folder."""
    chosen = ChromeOptions()
    chosen.binary_location = BROWSER or ""
    chosen.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in [*OPTIONS, *options, f"--user-data-dir={folder}"]:
        chosen.add_argument(option)
    with Chrome(chosen, ChromeService(DRIVER)) as browser:
        yield browser


def hosts(page: Chrome) -> set[str]:
    """Return the hosts of everything that the page has loaded."""
    loaded = page.execute_script("return performance.getEntries().map(entry => entry.name)")
    return {urlsplit(name).netloc for name in loaded if name.startswith("http")}


def complaints(page: Chrome) -> list[str]:
    """Return the warnings and errors of the console since the last call."""
    driver: Any = page  # selenium types no part of its log
    log = driver.get_log("browser")
    return [entry["message"] for entry in log if entry["level"] in {"WARNING", "SEVERE"}]
