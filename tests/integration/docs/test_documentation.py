"""The documentation's code runs, its commands work, its lists are complete."""

import ast
import inspect
import itertools
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable
from contextlib import closing
from html import unescape
from pathlib import Path

import httpx2
import pytest
import websocket
from fastapi import Response
from fastapi.testclient import TestClient
from selenium.webdriver.support.wait import WebDriverWait

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.ports.rate_limits import RatePolicy
from ordergate.domain.errors import InvalidMoney
from ordergate.entrypoints.cli.commands.serving import DEMO_PASSWORD
from ordergate.entrypoints.config.environment import PREFIX, UNSET
from ordergate.entrypoints.config.issuers.settings import OtherIssuerSettings
from ordergate.entrypoints.config.loading import list_secret_names
from ordergate.entrypoints.config.serving import ServingSettings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.identity import login
from ordergate.entrypoints.http.problems import catalog, mapping, problem, quotas
from ordergate.entrypoints.http.problems.problem import Problem
from tests.support.api.http_client import challenge
from tests.support.program.browser import complaints, needs_browser, open_browser
from tests.support.program.captured_output import run_program
from tests.support.program.command import SECONDS, clean_environment, ordergate
from tests.support.program.server import Start
from tests.support.security_promises import promised_tests
from tests.support.tokens.oidc_issuer import AUDIENCE, running_issuer

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "protect-your-api.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
KEYS = (ROOT / "docs" / "keys.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})


# The guide


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    """Write the page's modules to the files in their first lines."""
    modules = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    tests = Path(__file__).read_text()
    for name, _ in modules:  # "notes.py" is imported by the others
        assert re.search(rf'"{name[:-3]}(?::app|\.py)"', tests), f"no test runs {name}"
    for name, code in modules:
        (tmp_path / name).write_text(code)
    return tmp_path


PASSWORD = "a password of alice's"


@pytest.fixture
def alice(guide: Path) -> Path:
    assert ordergate("migrate", cwd=guide).returncode == 0
    added = ordergate("users", "add", "alice", cwd=guide, PASSWORD=PASSWORD, BCRYPT_COST=4)
    assert added.stdout == "Added user alice with id 1.\n"
    return guide


def sign_in(client: httpx2.Client, **form: str) -> dict[str, str]:
    answer = client.post("/login", data={"username": "alice", "password": PASSWORD, **form})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_notes_of_the_guide_are_public_before_the_change(guide: Path, start: Start) -> None:
    server = start("before:app", module="uvicorn", cwd=guide)
    assert httpx2.get(f"{server.url}/notes").json() == ["Water the plants"]


def test_notes_of_the_guide_require_a_token_after_the_change(alice: Path, start: Start) -> None:
    server = start("after:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        refused = client.get("/notes")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == challenge()
        assert refused.headers["content-type"] == "application/problem+json"
        answer = client.get("/notes", headers=sign_in(client))
        assert answer.json() == ["Water the plants"]
        assert answer.headers["cache-control"] == "private, no-store"
        operation = client.get("/openapi.json").json()["paths"]["/notes"]["get"]
    assert operation["security"] == [{"password": []}, {"bearer": []}]
    assert {"200", "401", "422", "500", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "; `ordergate migrate` makes one there"),
        ({"BCRYPT_CST": 4}, "ordergate: ORDERGATE_BCRYPT_CST is not a setting; did you mean"),
    ],
)
def test_guide_application_reports_a_missing_schema_under_uvicorn(
    guide: Path, start: Start, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(RuntimeError, match=re.escape(reason)):
        start("after:app", module="uvicorn", cwd=guide, **settings)


def test_current_user_parameter_provides_the_caller(alice: Path, start: Start) -> None:
    server = start("mine:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        assert client.get("/my-notes").status_code == 401
        assert client.get("/my-notes", headers=sign_in(client)).json() == ["Water the plants"]


def test_optional_user_of_the_guide_may_be_anonymous(alice: Path, start: Start) -> None:
    server = start("greeting:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        assert client.get("/greeting").json() == "Hello, guest"
        assert client.get("/greeting", headers=sign_in(client)).json() == "Hello, user 1"
        refused = client.get("/greeting", headers={"Authorization": "Bearer expired"})
    assert refused.status_code == 401


def test_scopes_of_the_guide_are_granted_and_required(alice: Path, start: Start) -> None:
    server = start("scoped:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        reader = sign_in(client, scope="notes:read")
        assert client.get("/notes", headers=reader).json() == ["Water the plants"]
        assert client.post("/notes", headers=reader).json()["scope"] == "notes:write"
        assert client.post("/notes", headers=sign_in(client)).json() == "A note of user 1"
        metadata = client.get("/.well-known/oauth-authorization-server").json()
    assert {"notes:read", "notes:write"} < set(metadata["scopes_supported"])


def test_claims_of_the_guide_decide(alice: Path, start: Start) -> None:
    with running_issuer() as issuer:
        settings = {"JWKS_URL": issuer.url, "ISSUER": issuer.name, "AUDIENCE": AUDIENCE}
        server = start("editors:app", module="uvicorn", cwd=alice, **settings)
        answers = [
            httpx2.get(f"{server.url}/drafts", headers={"Authorization": f"Bearer {token}"})
            for token in (
                issuer.token(roles=["editor"], tenant="acme"),
                issuer.token(roles=["reader"]),
                issuer.token(),
            )
        ]
    assert [answer.status_code for answer in answers] == [200, 403, 403]
    assert answers[0].json() == ["A draft in acme"]


def test_own_lifespan_and_middleware_of_the_guide_run(alice: Path, start: Start) -> None:
    settings = {"BCRYPT_COST": 4, "TRUSTED_PROXIES": "127.0.0.1"}
    server = start("started:app", module="uvicorn", cwd=alice, **settings)
    https = {"X-Forwarded-Proto": "https"}
    with httpx2.Client(base_url=server.url) as client:
        assert client.get("/livez").status_code == 307
        client.headers.update(https)
        answer = client.get("/notes", headers=sign_in(client))
    assert answer.json() == ["Water the plants"]


def test_websocket_of_the_guide_knows_its_caller(alice: Path, start: Start) -> None:
    server = start("sockets:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    url = f"{server.url.replace('http', 'ws', 1)}/notes/live"
    with httpx2.Client(base_url=server.url) as client:
        header = sign_in(client)["Authorization"]
    connect = websocket.create_connection
    with closing(connect(url, header=[f"Authorization: {header}"])) as socket:
        assert socket.recv() == "Notes of user 1"
    protocols = ["notes", header.replace("Bearer ", "bearer.")]
    with closing(connect(url, subprotocols=protocols)) as socket:
        assert (socket.getsubprotocol(), socket.recv()) == ("notes", "Notes of user 1")
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect(url)
    assert refused.value.status_code == 401


def test_mounted_applications_of_the_guide_authenticate(alice: Path, start: Start) -> None:
    server = start("below:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        assert client.get("/notes/mine").status_code == 401
        mine = client.get("/notes/mine", headers=sign_in(client))
        assert mine.json() == ["A note of user 1"]
    server = start("above:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=f"{server.url}/auth") as client:
        headers = sign_in(client)
        assert client.get("/me", headers=headers).json()["username"] == "alice"
    assert httpx2.get(f"{server.url}/notes", headers=headers).json() == ["A note of user 1"]
    assert httpx2.get(f"{server.url}/notes").status_code == 401


def test_own_error_answers_of_the_guide_are_sent(alice: Path, start: Start) -> None:
    with (alice / "own_errors.py").open("a") as module:
        module.write(
            "from ordergate.entrypoints.http.security import CurrentUser\n"
            "@app.get('/mine/{number}')\n"
            "async def mine(number: int, user: CurrentUser) -> None:\n"
            "    raise OutOfStock if number else RuntimeError\n"
        )
    server = start("own_errors:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        headers = sign_in(client)
        assert client.get("/nowhere").json() == {"code": "Not Found"}
        assert client.get("/mine/1").json() == {"code": "token-required"}
        wrong = client.get("/mine/1", headers={"Authorization": "Bearer x"})
        assert (wrong.status_code, wrong.json()) == (401, {"code": "invalid-token"})
        assert "invalid_token" in wrong.headers["www-authenticate"]
        assert client.get("/mine/1", headers=headers).json() == {"code": "out-of-stock"}
        mistakes = client.get("/mine/x", headers=headers)
        assert mistakes.json() == {"code": "invalid", "mistakes": 1}
        bug = client.get("/mine/0", headers=headers)
        assert (bug.status_code, bug.json()["id"]) == (500, bug.headers["x-request-id"])


def test_router_of_the_guide_has_its_own_error_answers(alice: Path, start: Start) -> None:
    server = start("one_router:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        refused = client.get("/stock/tea")
        assert refused.status_code == 401
        assert refused.json().keys() == {"code"}
        assert refused.headers["www-authenticate"] == challenge()
        taken = client.get("/stock/tea", headers=sign_in(client))
        assert (taken.status_code, taken.json()) == (409, {"code": "out-of-stock"})
        assert client.get("/order?id=1").headers["content-type"] == "application/problem+json"


def test_titles_of_the_guide_are_in_the_document(alice: Path, start: Start) -> None:
    server = start("titled:app", module="uvicorn", cwd=alice, ORDER_ROUTES=False)
    document = httpx2.get(f"{server.url}/openapi.json").json()
    info = {name: document["info"][name] for name in ("title", "version", "summary", "description")}
    assert info == {
        "title": "Notes",
        "version": "2.0",
        "summary": "What to remember",
        "description": "Sign in at `POST /login`.",
    }
    assert not any(path.startswith("/order") for path in document["paths"])


def test_documentation_of_a_mounted_application_of_the_guide_may_load_its_scripts(
    alice: Path, start: Start
) -> None:
    server = start("docs_below:app", module="uvicorn", cwd=alice)
    page = httpx2.get(f"{server.url}/notes/docs")
    policy = page.headers["content-security-policy"]
    allowed = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    for host in set(re.findall(r"(?:src|href)=\"(https://[^/]+)", page.text)):
        assert any(host in hosts for hosts in allowed.values()), host
    assert "cdn.jsdelivr.net" in page.text
    other = httpx2.get(f"{server.url}/notes/openapi.json")
    assert other.headers["content-security-policy"].startswith("default-src 'none'; frame-")


@needs_browser
def test_page_of_the_guide_runs_its_script_under_its_own_policy(
    alice: Path, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A stand-in for Scalar's script reads the document and requests another host."""
    (alice / "static").mkdir()
    (alice / "static" / "standalone.js").write_text(
        "const { url } = document.querySelector('#api-reference').dataset;"
        "fetch('https://elsewhere.example/').catch(() => fetch(url))"
        ".then((answer) => answer.json()).then(({ info }) => { document.title = info.title; });"
    )
    server = start("pages:app", module="uvicorn", cwd=alice)
    page = httpx2.get(f"{server.url}/reference")
    assert page.headers["cache-control"] == "public, max-age=3600"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    other = httpx2.get(f"{server.url}/livez")
    assert (other.headers["cache-control"], other.headers["content-security-policy"]) == (
        "no-store",
        "default-src 'none'; frame-ancestors 'none'",
    )
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.get(f"{server.url}/reference")
        WebDriverWait(browser, SECONDS).until(lambda page: page.title == "Ordergate")
        assert any("connect-src 'self'" in complaint for complaint in complaints(browser))


def test_folder_of_pages_of_the_guide_has_its_own_headers(alice: Path, start: Start) -> None:
    (alice / "site").mkdir()
    (alice / "site" / "index.html").write_text("<!doctype html><title>Notes</title>")
    server = start("folder:app", module="uvicorn", cwd=alice)
    page = httpx2.get(f"{server.url}/site/")
    assert page.text.endswith("<title>Notes</title>")
    assert page.headers["content-security-policy"] == "default-src 'self'; frame-ancestors 'none'"
    assert page.headers["cache-control"] == "public, max-age=3600"
    other = httpx2.get(f"{server.url}/livez").headers
    assert other["content-security-policy"].startswith("default-src 'none'")
    unchanged = {"If-None-Match": page.headers["etag"]}
    assert httpx2.get(f"{server.url}/site/", headers=unchanged).status_code == 304


def test_upload_of_the_guide_has_its_own_limit(alice: Path, start: Start) -> None:
    server = start("uploads:app", module="uvicorn", cwd=alice, BCRYPT_COST=4)
    with httpx2.Client(base_url=server.url) as client:
        user, photo = sign_in(client), b"x" * 5_000_000
        assert client.put("/photo", content=photo, headers=user).json() == len(photo)
        assert client.put("/photo", content=2 * photo + b"x", headers=user).status_code == 413
        assert client.put("/photo", content=photo).status_code == 401
        assert client.post("/orders", content=photo, headers=user).status_code == 413


def test_pages_of_other_origins_call_routes_as_the_guide_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    (block,) = (each for each in blocks if "CORS" in each)
    for name, value in re.findall(r"^export (ORDERGATE_\w+)=(\S+)", block, re.MULTILINE):
        monkeypatch.setenv(name, value)
    app = create_app(Container(settings=load_checked_settings(), storage=InMemoryStorage()))

    @app.api_route("/found", methods=["QUERY"])
    async def find(response: Response) -> list[str]:
        response.headers["X-Total"] = "0"
        return []

    client = TestClient(app, headers={"Origin": "https://shop.example"})
    asked = {"Access-Control-Request-Method": "QUERY", "Access-Control-Request-Headers": "x-tenant"}
    assert client.options("/found", headers=asked).status_code == 200
    answer = client.request("QUERY", "/found", headers={"X-Tenant": "acme"})
    assert "X-Total" in answer.headers["access-control-expose-headers"]
    asked["Access-Control-Request-Headers"] = "x-other"
    assert client.options("/found", headers=asked).json()["detail"] == "Disallowed CORS headers."


def test_tests_of_the_guide_pass(guide: Path) -> None:
    result = run_program(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", "test_notes.py"],
        cwd=guide,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert "3 passed" in result.stdout, result.stdout


def test_application_of_a_module_runs_on_memory_in_tests(guide: Path) -> None:
    (guide / "test_after.py").write_text(
        "from after import app\n"
        "from fastapi.testclient import TestClient\n"
        "from ordergate.testing import authorize\n"
        "def test_notes():\n"
        "    answer = TestClient(app).get('/notes', headers=authorize(app))\n"
        "    assert answer.json() == ['Water the plants']\n"
    )
    result = run_program(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", "test_after.py"],
        cwd=guide,
        env=clean_environment(CONTAINER="ordergate.testing:make_container"),
        capture_output=True,
        text=True,
    )
    assert "1 passed" in result.stdout, result.stdout
    assert not (guide / ".ordergate").exists()


# The page on keys


def test_stolen_key_commands_work_unchanged(tmp_path: Path) -> None:
    stolen = ordergate("keys", "new", cwd=tmp_path).stdout.split()[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", KEYS, re.MULTILINE | re.DOTALL)
    (lines,) = (block for block in blocks if "$STOLEN" in block)
    environment = clean_environment() | {
        "STOLEN": stolen,
        "PATH": f"{Path(sys.executable).parent}:{clean_environment()['PATH']}",
    }
    run_program(
        ["sh", "-euc", lines], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    _, *rows = ordergate("keys", "list", cwd=tmp_path).stdout.splitlines()
    assert [row.split()[2] for row in rows] == ["signing"]
    assert stolen not in rows[0]


# The README


def test_readme_commands_work_unchanged(tmp_path: Path, start: Start) -> None:
    server = start("demo", cwd=tmp_path)
    blocks = re.findall(r"^```sh\n((?:TOKEN|curl).*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    lines = "".join(blocks).replace("http://127.0.0.1:8000", server.url)
    shell = run_program(["sh", "-ec", lines], capture_output=True, text=True, check=True)
    assert re.findall(r"HTTP/1.1 (\d+)", shell.stdout) == ["200", "404", "201"]


def test_readme_serving_commands_work_for_an_ordinary_user(tmp_path: Path, start: Start) -> None:
    """The environment that `make install` makes is replaced by this one."""
    (serving,) = re.findall(r"^```sh\n(make install .*?)^```", README, re.MULTILINE | re.DOTALL)
    keeping = "".join(
        re.findall(
            r"^```sh\n(ordergate (?:backup|restore) .*?)^```", OPERATIONS, re.MULTILINE | re.DOTALL
        )
    )
    assert keeping.count("\n") == 2
    lines, serve, rest = serving.partition("ordergate serve --host 0.0.0.0 --port 8000\n")
    assert (bool(serve), rest) == (True, "")
    commands = Path(sys.executable).parent
    installed = f'make() {{ mkdir "$HOME/ordergate"; ln -s {commands} "$HOME/ordergate/bin"; }}\n'
    run_program(
        ["sh", "-euc", installed + lines + keeping],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "ORDERGATE_PASSWORD": PASSWORD},
        check=True,
        capture_output=True,
        text=True,
    )
    server = start(
        *serve.split()[1:-2],
        cwd=tmp_path,
        HOME=tmp_path / "ordergate" / "state",
        ISSUER="https://orders.example",
    )
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        assert client.get("/me", headers=sign_in(client)).json()["username"] == "alice"


def docstrings_of_attributes(model: type) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    return {
        attribute.target.id: text.value.value
        for attribute, text in itertools.pairwise(body.body)
        if isinstance(attribute, ast.AnnAssign)
        and isinstance(attribute.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def describe_settings() -> dict[str, str]:
    models = (Settings, ServingSettings, OtherIssuerSettings)
    return dict(itertools.chain.from_iterable(docstrings_of_attributes(m).items() for m in models))


def test_settings_page_lists_every_setting() -> None:
    descriptions = describe_settings()
    rows = []
    for name, field in sorted(
        Settings.model_fields.items(),
        key=lambda setting: (
            setting[0] in OtherIssuerSettings.model_fields,
            setting[0] in ServingSettings.model_fields,
        ),
    ):
        meaning, _, default = " ".join(descriptions[name].split()).partition(" Default: ")
        default = default.rstrip(".") if default else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {meaning} |")
    assert re.findall(rf"^\| `{PREFIX}.*$", SETTINGS, re.MULTILINE) == rows


def test_settings_page_lists_every_secret_that_may_be_in_a_file() -> None:
    section = SETTINGS.partition("## Secrets in files")[2].partition("\n\n`")[0]
    listed = re.findall(rf"`{PREFIX}(\w+)_FILE`", section)
    assert sorted(listed) == sorted(list_secret_names())


def test_error_for_a_blank_setting_names_the_documented_default() -> None:
    documented = describe_settings()
    for name, field in Settings.model_fields.items():
        if field.default in (None, ()):
            default = " ".join(documented[name].split()).partition(" Default: ")[2]
            assert default.replace("`", "") == f"{UNSET.get(name, 'none')}."


def test_readme_map_matches_the_folders() -> None:
    listing = README.split("## The map\n\n```\n")[1].split("```")[0]
    there = {path.name for folder in ("src", "tests") for path in (ROOT / folder).rglob("*")}
    for name in re.findall(r"(?<!\S)([a-z_]+(?:\.py|/))(?=[\s,;])", listing):
        assert name.rstrip("/") in there | {"src", "tests", "bench", "deploy", "docs"}, name
    for folder in ("src", "src/adapters", "src/entrypoints"):
        for path in (ROOT / folder).iterdir():
            if not path.name.startswith("__") and path.suffix not in (".egg-info", ".typed"):
                assert path.name in listing, path


# The reading path


def count_lines(path: str, name: str) -> int:
    """Count the lines of a file, or of a definition in it."""
    code = (ROOT / path).read_text()
    if not name:
        return code.count("\n")
    (node,) = (
        node
        for node in ast.parse(code).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == name
    )
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or 0) - first + 1


def test_hour_has_twelve_parts_of_about_900_lines() -> None:
    page = (ROOT / "docs" / "the-hour.md").read_text()
    parts = re.findall(r"^\| \d+ \| \[([\w/.]+)\]\(\.\./\1\)(?:, `(\w+)`)? \|", page, re.MULTILINE)
    lines = {part: count_lines(*part) for part in parts}
    assert len(lines) == 12
    assert {part: count for part, count in lines.items() if count > 130} == {}
    assert 700 <= sum(lines.values()) <= 1_000


# Every page


def test_api_page_explains_every_problem_type() -> None:
    problems = [
        *(value for module in (catalog, login) for value in vars(module).values()),
        *catalog.PROBLEMS.values(),
        mapping.to_problem(InvalidMoney()),
        catalog.make_insufficient_scope(["account"]),
        quotas.make_quota_exceeded(RatePolicy.CLIENT, 1),
        problem.invalid_parameter(("query", "id", "is missing")),
    ]
    names = {problem.name for problem in problems if isinstance(problem, Problem)} - {None}
    assert {name for name in names if f"`{name}`" not in API} == {
        "account-changed",
        "backup-refused",
        "copy-differs",
        "key-refused",
        "missing-capability",
        "owner-not-named",
        "record-refused",
        "storage-not-empty",
    }


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not link.startswith("https://"):
            target, _, anchor = link.partition("#")
            file = page.parent / target if target else page
            assert file.exists(), link
            assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_files_that_a_page_names_exist(page: Path) -> None:
    folders = ("src", "tests", "bench", "tools", "examples")
    files = [
        f"/{file.relative_to(ROOT)}" for name in folders for file in (ROOT / name).rglob("*.py")
    ]
    named = set(re.findall(r"`([\w/.-]+\.py)(?:::\w+)?`", page.read_text()))
    missing = {name for name in named if not any(file.endswith(f"/{name}") for file in files)}
    assert {name for name in missing if "count_own_orders" not in name} == set()


BLOCKS = [
    (f"{page.relative_to(ROOT)}:{page.read_text()[: block.start()].count(chr(10)) + 2}", block)
    for page in PAGES
    for block in re.finditer(
        r"^( *)```(\w+)\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
]


def shell_error(code: str) -> str:
    check = run_program(["sh", "-n"], input=code, capture_output=True, text=True)
    return str(check.stderr)


CHECKS: dict[str, Callable[[str], object]] = {
    "python": ast.parse,
    "json": lambda code: json.loads(code.replace("[…]", "[]")),
    "toml": tomllib.loads,
    "sh": shell_error,
}


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_code_block_is_well_formed(block: re.Match[str]) -> None:
    _, language, code = block.groups()
    result = CHECKS.get(language, str)(textwrap.dedent(code))
    assert language != "sh" or result == ""


IMAGES = sorted((ROOT / "docs" / "images").iterdir())


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_picture_is_small_and_names_no_other_host(image: Path) -> None:
    content = image.read_bytes()
    assert len(content) < 200_000
    assert set(re.findall(rb"https?://[\w.]+", content)) <= {
        b"http://www.w3.org",
        b"http://127.0.0.1",
    }


def test_terminal_of_the_readme_shows_the_answers_of_today(tmp_path: Path, start: Start) -> None:
    """After a change of the answers, `make pictures` makes the pictures again."""
    server = start("demo", cwd=tmp_path)
    svg = (ROOT / "docs" / "images" / "terminal.svg").read_text()
    text = unescape(re.sub("<[^>]+>", "", svg)).replace("\N{NO-BREAK SPACE}", " ")
    bodies = re.findall(r"json\.tool$(.*?)(?=^\$|\Z)", text, re.MULTILINE | re.DOTALL)
    shown = [json.loads(body) for body in bodies]
    with httpx2.Client(base_url=server.url) as client:
        form = {"username": "user1", "password": DEMO_PASSWORD}
        token = client.post("/login", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        own, missing = (client.get("/order", params={"id": number}).json() for number in (1, 2))
    missing["request_id"] = shown[1]["request_id"]
    assert shown == [own, missing]


def test_readme_has_at_most_150_lines() -> None:
    assert README.count("\n") <= 150


def test_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\(([\w-]+\.md)(?:#[\w-]+)?\)", index))


DECISIONS = sorted((ROOT / "docs" / "adr").glob("0*.md"))


def test_every_decision_is_listed_with_its_title() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", index, re.MULTILINE)
    titles = [path.read_text().partition("\n")[0] for path in DECISIONS]
    assert [f"# {number}. {title}" for number, title, _ in listed] == titles
    assert [name for _, _, name in listed] == [path.name for path in DECISIONS]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_decision_has_the_form(decision: Path) -> None:
    title, _, rest = decision.read_text().partition("\n\n")
    status, *sections = re.split(r"^## ", rest, flags=re.MULTILINE)
    assert re.fullmatch(rf"# {int(decision.name[:4])}\. .*[^.]", title)
    assert re.fullmatch(r"Status: (accepted|superseded by \[\d+\]\(.+\))\.\n\n", status)
    assert [section.partition("\n")[0] for section in sections] == [
        "Context",
        "Decision",
        "Alternatives considered",
        "Consequences",
    ]
    assert all(section.partition("\n")[2].strip() for section in sections)


PROMISES = (ROOT / "docs" / "security.md").read_text()


def test_security_page_names_existing_tests() -> None:
    rows = re.findall(r"^\| (?!promise|---).*\|$", PROMISES, re.MULTILINE)
    assert len(promised_tests()) == len(rows) > 70
    for path, name in promised_tests():
        code = (ROOT / path).read_text()
        assert re.search(rf"^( *(async )?def {name}\(|{name} = )", code, re.MULTILINE), name
        before = code[: code.index(name)].rpartition("\n\n")[2]
        assert not re.search("skip|xfail", before), name
