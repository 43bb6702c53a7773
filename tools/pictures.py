"""Make README.md's pictures: a terminal of the demo, the API's page.

    python -m tools.pictures

It needs curl, chromium and chromedriver. The terminal shows commands with their real output, and
the page is `/docs` of the same demo.
"""

import re
import shutil
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

IMAGES = Path(__file__).parents[1] / "docs" / "images"
URL = "http://127.0.0.1:8000"
READ = f'curl -s -H "Authorization: Bearer $TOKEN" "{URL}/order?id=%d" | python3 -m json.tool'
SIGN_IN = (
    f"TOKEN=$(curl -s {URL}/login -d username=user1 -d password=ordergate-demo \\\n"
    r"""  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"""
)
COMMANDS = (SIGN_IN, READ % 1, READ % 2)
"""What the terminal shows: sign in, read an own order, read an order of another user."""

_SECONDS = 30
_REQUEST_ID = "7f1c2a9e5b0d4c3a8e6f1d2c3b4a5968"
_COLUMNS = 104
_PAGE = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
_LIGHT = TerminalTheme(
    (246, 248, 250),
    (31, 35, 40),
    # black, red, green, yellow, blue, magenta, cyan, white
    [
        (31, 35, 40),
        (164, 14, 38),
        (17, 99, 41),
        (125, 78, 0),
        (5, 80, 174),
        (130, 80, 223),
        (27, 124, 131),
        (87, 96, 106),
    ],
)
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A terminal: sign in to the demo, read an own order, and get a 404 for another user's</title>
<style>
.{unique_id}-matrix {{
font: {char_height}px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
}}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Start the demo, and write both pictures."""
    with TemporaryDirectory() as folder:
        demo = subprocess.Popen(
            [sys.executable, "-m", "ordergate.entrypoints", "demo"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(demo)
            _write_terminal()
            _write_page(Path(folder, "browser"))
        finally:
            demo.terminate()
            demo.wait()


def _wait(demo: "subprocess.Popen[bytes]") -> None:
    """Wait until the demo itself answers on its port."""
    deadline = time.monotonic() + _SECONDS
    while demo.poll() is None and time.monotonic() < deadline:
        try:
            if httpx2.get(f"{URL}/readyz").is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    sys.exit("The demo did not start; `make demo` says why")


def _write_terminal() -> None:
    console = Console(record=True, width=_COLUMNS, file=StringIO())
    for number, command in enumerate(COMMANDS):
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        if number:
            console.print(JSONHighlighter()(Text(_run(f"{SIGN_IN}\n{command}").rstrip())))
    svg = console.export_svg(
        title="make demo", theme=_LIGHT, code_format=_SVG, unique_id="terminal"
    )
    # The picture is the same for every run: only the id of the request differs.
    svg = re.sub("[0-9a-f]{32}", _REQUEST_ID, svg)
    (IMAGES / "terminal.svg").write_text(svg, encoding="utf-8")


def _run(commands: str) -> str:
    shell = ["sh", "-euc", commands]
    return subprocess.run(shell, check=True, stdout=subprocess.PIPE, text=True).stdout


def _write_page(folder: Path) -> None:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for option in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={folder}")
    with Chrome(options, ChromeService(shutil.which("chromedriver"))) as browser:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _PAGE)
        browser.get(f"{URL}/docs")
        operations = (By.CSS_SELECTOR, ".opblock")
        WebDriverWait(browser, _SECONDS).until(lambda page: page.find_elements(*operations))
        browser.save_screenshot(str(IMAGES / "api.png"))


if __name__ == "__main__":
    main()
