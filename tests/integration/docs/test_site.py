"""The documentation site, as `make docs` builds it, in a real browser."""

import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from tests.support.program.browser import complaints, hosts, needs_browser, open_browser
from tests.support.program.captured_output import run_program
from tests.support.program.command import SECONDS, clean_environment

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "zensical.toml"
GENERATOR = ROOT / ".venv-docs" / "bin" / "zensical"
SOURCES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PHONE, DESKTOP = (390, 844), (1280, 900)

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not GENERATOR.exists(), reason="no generator: run `make docs` once"),
]


def collect(folder: Path) -> None:
    run_program(
        [sys.executable, "-m", "tools.docs", folder / ".docs"],
        cwd=ROOT,
        env=clean_environment(),
        check=True,
    )
    shutil.copyfile(CONFIGURATION, folder / CONFIGURATION.name)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return run_program(
        [GENERATOR, "build", "--strict"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    collect(folder)
    result = build(folder)
    assert result.returncode == 0, result.stdout
    return folder / "site"


class Page(HTMLParser):
    """The addresses, the anchors and the elements of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.elements: Counter[str] = Counter()
        self._in_article = False
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.anchors |= {attributes[name] for name in ("id", "name") if name in attributes}
        address = attributes.get("src") or attributes.get("href") or ""
        if tag == "a":
            self.links.append(address)
        elif address:
            self.loaded.append(address)
        self._in_article |= tag == "article"
        added = attributes.get("class") == "headerlink" or attributes.get("id") == "__skip"
        if self._in_article and not added:
            self.elements[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        self._in_article &= tag != "article"


parse = cache(Page)


def address_of_page(source: Path) -> str:
    name = source.relative_to(ROOT).with_suffix(".html")
    return str(name.with_name("index.html") if name.stem == "README" else name)


# The files


def test_site_has_every_page(site: Path) -> None:
    assert [page for page in SOURCES if not (site / address_of_page(page)).exists()] == []


def test_navigation_lists_every_page_except_decisions() -> None:
    listed = re.findall(r'= "([\w./-]+\.md)"', CONFIGURATION.read_text())
    pages = {str(page.relative_to(ROOT)) for page in SOURCES}
    decisions = {page for page in pages if page.startswith("docs/adr/0")}
    assert Counter(listed) == Counter(
        [*(pages - decisions), "docs/reference/operations.md", "docs/reference/schemas.md"]
    )


def test_links_of_the_site_lead_to_pages_and_anchors(site: Path) -> None:
    broken = []
    for file in site.rglob("*.html"):
        if file.name == "404.html":
            continue
        page = parse(file)
        for address in [*page.links, *page.loaded]:
            parts = urlsplit(address)
            if parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file() or (
                anchor and target.suffix == ".html" and anchor not in parse(target).anchors
            ):
                broken.append((str(file.relative_to(site)), address))
    assert broken == []


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    loaded = {address for file in site.rglob("*.html") for address in parse(file).loaded}
    assert {address for address in loaded if urlsplit(address).netloc} == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_has_the_structure_that_code_hosts_show(site: Path, source: Path) -> None:
    """Generators and code hosts read lists, tables and code in different dialects."""
    kinds = (
        "h1",
        "h2",
        "h3",
        "ol",
        "ul",
        "li",
        "th",
        "td",
        "pre",
        "img",
        "a",
        "blockquote",
        "code",
    )
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source.read_text())
    expected: Counter[str] = Counter()
    inline = [child for token in tokens for child in token.children or ()]
    for token in [*tokens, *inline]:
        expected[token.tag] += token.nesting >= 0
        expected["pre"] += token.type in {"fence", "code_block"}
    shown = parse(site / address_of_page(source)).elements
    assert {kind: shown[kind] for kind in kinds} == {kind: expected[kind] for kind in kinds}


def test_reference_has_every_operation_and_schema(site: Path) -> None:
    document = create_app(Container(settings=Settings())).openapi()
    operations = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    reference = site / "docs" / "reference"
    assert operations <= parse(reference / "operations.html").anchors
    assert document["components"]["schemas"].keys() <= parse(reference / "schemas.html").anchors


@pytest.mark.parametrize("link", ["missing.md", "settings.md#missing"])
def test_build_fails_for_a_broken_link(tmp_path: Path, link: str) -> None:
    collect(tmp_path)
    with (tmp_path / ".docs" / "docs" / "keys.md").open("a") as page:
        page.write(f"\n[broken]({link})\n")
    result = build(tmp_path)
    assert result.returncode == 1
    assert "docs/keys.md" in result.stdout


# In a browser


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Open a browser that finds no host but this one."""
    refused = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with open_browser(tmp_path_factory.mktemp("browser"), refused) as browser:
        yield browser


def show(browser: Chrome, url: str, *, size: tuple[int, int] = DESKTOP, scheme: str = "") -> None:
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme or "light"}]},
    )
    browser.get(url)


def brightness(browser: Chrome) -> int:
    """Return how bright the page's background is, from 0 to 255."""
    color = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    return max(int(part) for part in re.findall(r"\d+", color)[:3])


@needs_browser
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_need_no_other_host(
    browser: Chrome, address: str, size: tuple[int, int], scheme: str
) -> None:
    listed = re.findall(r'= "([\w./-]+)\.md"', CONFIGURATION.read_text())
    complaints(browser)
    faults = {}
    for name in listed:
        show(
            browser, f"{address}/{re.sub('README$', 'index', name)}.html", size=size, scheme=scheme
        )
        width = browser.execute_script("return document.documentElement.scrollWidth")
        bright = brightness(browser) > 127
        unloaded = browser.execute_script(
            "return [...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
        )
        found = (hosts(browser), complaints(browser), width > size[0], bright, unloaded)
        if found != ({urlsplit(address).netloc}, [], False, scheme == "light", []):
            faults[name] = found
    assert faults == {}


@needs_browser
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_search_leads_to_a_page(browser: Chrome, address: str, size: tuple[int, int]) -> None:
    show(browser, f"{address}/index.html", size=size)
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    wait = WebDriverWait(browser, SECONDS)
    dialog = wait.until(
        lambda page: page.execute_script("return document.activeElement.shadowRoot")
    )
    browser.switch_to.active_element.send_keys("ORDERGATE_JWKS_URL")
    wait.until(lambda _: dialog.find_elements(By.CSS_SELECTOR, "a[href*='docs/settings.html']"))
    dialog.find_element(By.CSS_SELECTOR, "a[href*='docs/settings.html']").click()
    wait.until(lambda page: urlsplit(page.current_url).path == "/docs/settings.html")
    assert complaints(browser) == []


@needs_browser
def test_reader_switches_between_light_and_dark(browser: Chrome, address: str) -> None:
    show(browser, f"{address}/index.html", scheme="light")
    seen = []
    for _ in range(3):
        seen.append(brightness(browser) > 127)
        (button,) = (
            label
            for label in browser.find_elements(By.CSS_SELECTOR, "label[title^='Switch to']")
            if label.is_displayed()
        )
        button.click()
    assert seen == [True, True, False]
    browser.execute_script("localStorage.clear()")
