"""`ordergate tokens explain`, with own tokens and those of another issuer."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ordergate.adapters.tokens.keys.signing_key import SigningKey
from tests.support.program.command import SECONDS, clean_environment, error_line, ordergate
from tests.support.tokens.jose import public_jwk, sign
from tests.support.tokens.oidc_issuer import AUDIENCE, Issuer, running_issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        issuer.publish_metadata()
        yield issuer


def explain(
    token: str, folder: Path, issuer: Issuer | None = None, **settings: Any
) -> subprocess.CompletedProcess[str]:
    if issuer is not None:
        settings = {
            "IDENTITY_PROVIDER": "oidc",
            "ISSUER": issuer.name,
            "AUDIENCE": AUDIENCE,
            **settings,
        }
    done = ordergate("tokens", "explain", stdin=token, cwd=folder, **settings)
    for part in token.split("."):
        assert len(part) < 20 or part not in done.stdout + done.stderr
    return done


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the outcome and the text of each check."""
    return {line[:10].strip(): line[11:] for line in done.stdout.splitlines()}


def test_accepted_token_passes_every_check(tmp_path: Path, issuer: Issuer) -> None:
    issuer.keys.append(public_jwk("RS256", kid="enc", use="enc"))
    done = explain(f"Bearer {issuer.token()}\n", tmp_path, issuer)
    assert done.returncode == 0, done.stderr
    found = lines(done)
    assert all(" ok " in f" {line}" for line in list(found.values())[:-1])
    assert list(found)[:11] == [
        *("form", "keys", "left out", "signature", "typ", "iss"),
        *("aud", "kind", "times", "subject", "scope"),
    ]
    assert done.stdout.endswith("The token is accepted.\n")
    assert "key 1, kid 'enc': use is not sig" in found["left out"]
    assert found["scope"].endswith("openid orders:read")


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"iss": "https://other.example"}, {"iss": "iss is another issuer"}),
        ({"aud": "other"}, {"aud": "'other': aud is another audience"}),
        ({"typ": "JWT"}, {"typ": "'JWT': typ is not that of an access token of this issuer"}),
        ({"kid": "other"}, {"signature": "kid 'other': kid names no known key"}),
        ({"exp": 1}, {"times": "exp has passed"}),
        ({"iat": 2**35}, {"times": "iat is in the future"}),
        ({"at_hash": "x"}, {"kind": "sid sub: at_hash is a claim of ID tokens"}),
        ({"sub": 7}, {"subject": "7: sub is missing or not text"}),
        ({"exp": 999_999_999_999, "aud": ...}, {"aud": "aud is missing"}),
        ({"iat": 253_402_300_800}, {"times": "iat 253402300800, exp 2"}),
        ({"iat": -1, "exp": -1e300}, {"times": "iat -1, exp -1e+300: exp has passed"}),
        ({"exp": 1, "aud": ...}, {"times": "exp has passed", "aud": "aud is missing"}),
    ],
    ids=str,
)
def test_each_failed_check_is_explained(
    tmp_path: Path, issuer: Issuer, changes: dict[str, Any], failing: dict[str, str]
) -> None:
    done = explain(issuer.token(**changes), tmp_path, issuer)
    assert done.returncode == 1
    refused = {name: line for name, line in lines(done).items() if line.startswith("REFUSED")}
    assert refused.keys() == failing.keys()
    assert all(reason in refused[name] for name, reason in failing.items())
    assert f"{len(failing)} of " in done.stderr


@pytest.mark.parametrize("token", ["x", "a.b.c", "e30.e30.AA", "x" * 70_000, "é.é.é"])
def test_other_text_is_explained(tmp_path: Path, issuer: Issuer, token: str) -> None:
    done = explain(token, tmp_path, issuer)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "REFUSED" in done.stdout


def test_other_bytes_are_explained(tmp_path: Path, issuer: Issuer) -> None:
    variables = {"IDENTITY_PROVIDER": "oidc", "ISSUER": issuer.name, "AUDIENCE": AUDIENCE}
    done = subprocess.run(
        [sys.executable, "-m", "ordergate.entrypoints", "tokens", "explain"],
        input=b"\xff\xfe.\x80.a",
        cwd=tmp_path,
        env=clean_environment(**variables) | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert b"form       REFUSED" in done.stdout


def test_unverified_text_cannot_change_the_terminal(tmp_path: Path, issuer: Issuer) -> None:
    wild = "\x1b[2J\u202e"
    token = issuer.token(wild, scope=[wild, "x" * 500], aud=wild, kid=wild, iss=wild, typ=wild)
    done = explain(token, tmp_path, issuer)
    assert done.returncode == 1
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert max(map(len, done.stdout.splitlines())) < 300


def test_address_of_an_issuer_cannot_change_the_terminal(tmp_path: Path, issuer: Issuer) -> None:
    issuer.publish_metadata(jwks_uri="https://id.example/\x1b[2J\u202e")
    done = explain(issuer.token(), tmp_path, issuer)
    assert "must have printable ASCII characters" in lines(done)["keys"]
    assert all(line.isprintable() for line in done.stdout.splitlines())


def test_own_token_is_not_explained_before_there_is_a_key(tmp_path: Path) -> None:
    done = explain("a.b.c", tmp_path)
    assert done.returncode == 1
    assert "signing-keys.json does not exist, so no token is valid" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_token_is_an_error(tmp_path: Path, issuer: Issuer) -> None:
    done = explain("\n", tmp_path, issuer)
    assert done.returncode == 1
    assert "give the token on standard input" in done.stderr


@pytest.mark.parametrize("quote", [json.dumps, lambda token: json.dumps({"access_token": token})])
def test_json_around_a_token_is_an_error(tmp_path: Path, issuer: Issuer, quote: Any) -> None:
    done = explain(quote("a.b.c"), tmp_path, issuer)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ordergate: this is JSON, not a token; give the value of access_token alone\n"
    )


def test_header_around_a_token_is_removed(tmp_path: Path, issuer: Issuer) -> None:
    done = explain(f"Authorization: Bearer {issuer.token()}", tmp_path, issuer)
    assert done.returncode == 0, done.stdout


def test_token_among_the_arguments_is_refused_and_not_repeated(tmp_path: Path) -> None:
    done = ordergate("tokens", "explain", "a.b.c", cwd=tmp_path)
    assert error_line(done).startswith("give the token on standard input")
    assert "a.b.c" not in done.stderr


def test_unreachable_issuer_is_explained(tmp_path: Path, issuer: Issuer) -> None:
    issuer.documents.clear()
    issuer.status = 404
    done = explain(issuer.token(), tmp_path, issuer)
    assert "the status is 404" in lines(done)["keys"]
    assert lines(done)["aud"].startswith("ok")


def test_unknown_issuer_of_several_is_explained(tmp_path: Path, issuer: Issuer) -> None:
    settings = {"ISSUER": f"{issuer.name}, https://other.example"}
    assert explain(issuer.token(), tmp_path, issuer, **settings).returncode == 0
    done = explain(issuer.token(iss="https://third.example"), tmp_path, issuer, **settings)
    assert lines(done)["iss"] == "REFUSED  'https://third.example': iss is another issuer"


def test_own_token_is_explained(tmp_path: Path) -> None:
    secret = "a secret of more than thirty-two bytes"
    now = int(time.time())
    claims = {
        "iss": "http://127.0.0.1:8000",
        "aud": "ordergate",
        "sub": "7",
        "client_id": "shop",
        "scope": "orders:read",
        "iat": now,
        "exp": now + 60,
        "jti": "1",
    }
    key = SigningKey.from_secret(secret)
    changes: list[tuple[dict[str, object], set[str]]] = [
        ({}, set()),
        ({"aud": "other"}, {"aud"}),
        ({"scope": ["orders:read"]}, {"subject", "scope"}),
    ]
    for change, failing in changes:
        payload = json.dumps({**claims, **change}).encode()
        token = sign("HS256", payload, key=key.key, typ="at+jwt", kid=key.kid)
        done = explain(token, tmp_path, SIGNING_SECRET=secret)
        assert done.returncode == (1 if failing else 0), done.stderr
        assert secret not in done.stdout
        refused = {name for name, line in lines(done).items() if line.startswith("REFUSED")}
        assert refused == failing


PAGE = (Path(__file__).parents[3] / "docs" / "identity-provider.md").read_text()


def test_documented_command_prints_the_documented_checks(tmp_path: Path, issuer: Issuer) -> None:
    section = PAGE.partition("## Why is my token refused?")[2]
    command, sample = re.findall(r"```(?:sh)?\n(.*?)```", section, re.DOTALL)[:2]
    issuer.keys.append(public_jwk("RS256", kid="b2", use="enc"))
    (tmp_path / "token.txt").write_text(issuer.token(aud="account"))
    environment = clean_environment(
        IDENTITY_PROVIDER="keycloak", ISSUER=issuer.name, AUDIENCE=AUDIENCE
    )
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert [line[:19] for line in done.stdout.splitlines()] == [
        line[:19] for line in sample.splitlines()
    ]
    assert "'account': aud is another audience" in done.stdout
