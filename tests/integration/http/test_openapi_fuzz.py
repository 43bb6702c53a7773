"""A fuzzer compares the server with its OpenAPI document."""

import json
import sys
from pathlib import Path

import httpx2
import pytest

from tests.support.program.captured_output import run_program
from tests.support.program.command import PASSWORD, PATIENT, SECONDS, clean_environment, ordergate
from tests.support.program.server import Start

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
OPTIONS = ["--checks", "all", "--seed", "1", "--max-examples", "25", "--continue-on-failure"]
# Random credentials never sign in, so a successful sign-in would not be checked.
CONFIGURATION = f"""\
[dictionaries]
username.values = ["user1"]
password.values = ["{PASSWORD}"]

# The schemas of forms are flat, as generators of clients need them: none says which fields a grant
# type needs, nor that further fields are sent once.
[[operations]]
include-name = "POST /login"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "429", "503"]

[operations.parameters]
"body.username" = {{ dictionary = "username", probability = 0.8 }}
"body.password" = {{ dictionary = "password", probability = 0.8 }}

[[operations]]
include-name = "POST /revoke"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]

# No schema can say which passwords are guessed first.
[[operations]]
include-name = "POST /users"
checks.positive_data_acceptance.expected-statuses = ["2xx", "409", "422", "503"]

[[operations]]
include-name = "PUT /me/password"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "422", "503"]

# Nor how many decimal places each currency has, nor which characters are printable.
[[operations]]
include-name = "POST /orders"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "422"]

# Nor which version an order has; and lists of entity tags are grammar of HTTP, not of a schema.
[[operations]]
include-name = "POST /orders/{{id}}/cancel"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "404", "409", "412"]

[[operations]]
include-name = "GET /orders/{{id}}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "401", "404", "412"]

[[operations]]
include-name = "GET /order"
checks.positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "401", "404", "412"]

# Nor what a cursor is, which nobody but the server makes.
[[operations]]
include-name = "GET /orders"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "422"]
"""
# The caller's password cannot be guessed.
NOT_GUESSED = {"DELETE /me", "PUT /me/password"}


@pytest.mark.parametrize("username", ["user1", None], ids=["signed in", "nobody"])
def test_server_conforms_to_its_openapi_document(
    tmp_path: Path, start: Start, username: str | None
) -> None:
    """Run every check, with a fixed seed for repeatable runs."""
    # This operation ends every session of the caller: the token has to outlive it.
    # The fuzzer registers an account and signs in by itself.
    sign_up = username is not None
    settings = {"BCRYPT_COST": 4, "REVOCATION": "until-expiry", "SIGN_UP": sign_up} | PATIENT
    assert ordergate("migrate", cwd=tmp_path).returncode == 0
    ordergate("seed", "--users", 2, "--orders", 9, cwd=tmp_path, PASSWORD=PASSWORD, **settings)
    served = start("serve", cwd=tmp_path, **settings)
    document = httpx2.get(f"{served.url}/openapi.json").json()
    # The check for ignored tokens passes over OAuth2; what is sent is a bearer token.
    document["components"]["securitySchemes"]["password"] |= {"type": "http", "scheme": "bearer"}
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    options = [*OPTIONS, "--report-json-path", "report.json"]
    if username is not None:
        form = {"username": username, "password": PASSWORD}
        token = httpx2.post(f"{served.url}/login", data=form).json()["access_token"]
        options += ["--header", f"Authorization: Bearer {token}"]
    result = run_program(
        [SCHEMATHESIS, "--no-color", "run", "openapi.json", "--url", served.url, *options],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS * 3,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert report["operations"]["tested"] == len(operations)
    # A token that opens nothing would leave every check content: 401 is in the document.
    assert {
        name
        for name, phases in report["valid_rates"].items()
        if any(rates["accepted"] for rates in phases.values())
    } == {
        name
        for name, operation in operations.items()
        if name not in NOT_GUESSED and (username is not None or not operation["security"])
    }
