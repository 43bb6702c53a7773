"""Verify and refuse tokens with the modules of docs/verify-tokens.md."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from authlib.oauth2.rfc6750 import InvalidTokenError
from jose.exceptions import JOSEError
from joserfc.errors import JoseError
from jwcrypto.common import JWException

from ordergate.entrypoints.cli.commands.serving import DEMO_PASSWORD
from tests.integration.clients.conftest import DOCS, ImportModule
from tests.support.pages import MODULE
from tests.support.program.command import PATIENT, ordergate, wait_until
from tests.support.program.server import Server, serve_demo
from tests.support.tokens.jose import encode, sign

PAGE = DOCS / "verify-tokens.md"
MODULES = dict(MODULE.findall(PAGE.read_text()))
ROWS = re.findall(
    r"^\| \[([\w-]+)\]\(#[\w-]+\) \| (yes|no) \| (yes|no) \| (yes|no) \| .* \| (.*) \|$",
    PAGE.read_text(),
    re.MULTILINE,
)
ALGORITHMS = ("ES256", "EdDSA", "RS256")
VERIFIES = {
    (library, algorithm): answer == "yes"
    for library, *answers, _ in ROWS
    for algorithm, answer in zip(ALGORITHMS, answers, strict=True)
}
LIBRARIES = [library for library, *_ in ROWS]
EXCEPTIONS = {
    "jwt.PyJWTError": jwt.PyJWTError,
    "JoseError": JoseError,
    "InvalidTokenError": InvalidTokenError,
    "JWException": JWException,
    "ValueError": ValueError,
    "JOSEError": JOSEError,
}
RAISES = {
    library: tuple(EXCEPTIONS[name] for name in re.findall(r"`([\w.]+)`", names))
    for library, *_, names in ROWS
}

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

Verify = Callable[[str], dict[str, Any]]
Load = Callable[[str, Server], Verify]


@dataclass(frozen=True)
class Demo:
    """A demo whose key the test knows."""

    server: Server
    home: Path

    def sign_in(self) -> str:
        form = {"username": "user1", "password": DEMO_PASSWORD}
        token: str = httpx2.post(f"{self.server.url}/login", data=form).json()["access_token"]
        return token

    def sign(self, *, typ: str = "at+jwt", kid: str = "", **changes: object) -> str:
        """Sign a new token's claims, after changes, with the real key."""
        (members,) = json.loads((self.home / "signing-keys.json").read_text())["keys"]
        claims = jwt.decode(self.sign_in(), options={"verify_signature": False}) | changes
        payload = {name: value for name, value in claims.items() if value is not None}
        key = jwt.PyJWK(members)
        return sign(
            key.algorithm_name,
            json.dumps(payload).encode(),
            key=key.key,
            typ=typ,
            kid=kid or members["kid"],
        )


def change_keys(home: Path, *arguments: str) -> str:
    done = ordergate("keys", *arguments, cwd=home.parents[1], HOME=home)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition(" ")[0]


@contextmanager
def make_demo(folder: Path, algorithm: str) -> Iterator[Demo]:
    home = folder / ".ordergate" / "demo"
    change_keys(home, "new", "--algorithm", algorithm)
    with serve_demo(folder, **PATIENT) as server:
        yield Demo(server, home)


@pytest.fixture(scope="module")
def start_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Demo]]:
    """Return a function that starts one demo for each algorithm."""
    with ExitStack() as stack:

        @cache
        def start(algorithm: str) -> Demo:
            return stack.enter_context(make_demo(tmp_path_factory.mktemp(algorithm), algorithm))

        yield start


@pytest.fixture(scope="module")
def demo(start_demo: Callable[[str], Demo]) -> Demo:
    return start_demo("ES256")


@pytest.fixture
def load(import_module_of_page: ImportModule) -> Load:
    """Return a function that loads the `verify` of a library."""

    def loaded(library: str, server: Server) -> Verify:
        name = f"verify_{library.lower().replace('-', '_')}"
        verify: Verify = import_module_of_page(PAGE.name, name, server).verify
        return verify

    return loaded


def test_page_has_a_module_and_a_row_for_each_library() -> None:
    modules = {name for name in MODULES if name.startswith("verify_")}
    assert {f"verify_{library.lower().replace('-', '_')}.py" for library in LIBRARIES} == modules
    assert len(LIBRARIES) == 5


@pytest.mark.parametrize(("library", "algorithm"), VERIFIES)
def test_library_verifies_the_algorithms_of_the_table(
    load: Load, start_demo: Callable[[str], Demo], library: str, algorithm: str
) -> None:
    demo = start_demo(algorithm)
    verify = load(library, demo.server)
    token = demo.sign_in()
    if VERIFIES[library, algorithm]:
        claims = verify(token)
        assert claims["sub"] == "1"
        assert "orders:read" in claims["scope"].split(" ")
    else:
        with pytest.raises(RAISES[library]):
            verify(token)


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_verifies_a_token_without_scopes(load: Load, demo: Demo, library: str) -> None:
    assert "scope" not in load(library, demo.server)(demo.sign(scope=None))


def now() -> int:
    return int(time.time())


def with_payload(token: str, **changes: object) -> str:
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    header, _, signature = token.split(".")
    return f"{header}.{encode(json.dumps(claims).encode())}.{signature}"


def with_signature(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature.startswith('A') else 'A'}{signature[1:]}"


def unsigned(token: str) -> str:
    header = {**jwt.get_unverified_header(token), "alg": "none"}
    return f"{encode(json.dumps(header).encode())}.{token.split('.')[1]}."


def sign_with_public_key(demo: Demo) -> str:
    """Sign with HMAC and the published key as its secret."""
    published = httpx2.get(f"{demo.server.url}/.well-known/jwks.json").json()["keys"][0]
    payload = json.dumps(jwt.decode(demo.sign_in(), options={"verify_signature": False}))
    secret = json.dumps(published).encode()
    return sign("HS256", payload.encode(), key=secret, typ="at+jwt", kid=published["kid"])


FORGED: dict[str, Callable[[Demo], str]] = {
    "changed payload": lambda demo: with_payload(demo.sign_in(), sub="2"),
    "changed signature": lambda demo: with_signature(demo.sign_in()),
    "no signature": lambda demo: unsigned(demo.sign_in()),
    "signed with the public key": sign_with_public_key,
    "signed with another key": lambda demo: sign(
        "ES256", json.dumps({"iss": demo.server.url, "aud": "ordergate"}).encode(), typ="at+jwt"
    ),
    "another audience": lambda demo: demo.sign(aud="another-service"),
    "no audience": lambda demo: demo.sign(aud=None),
    "another issuer": lambda demo: demo.sign(iss="https://id.example"),
    "no issuer": lambda demo: demo.sign(iss=None),
    "no subject": lambda demo: demo.sign(sub=None),
    "expired": lambda demo: demo.sign(iat=now() - 1_020, exp=now() - 120),
    "no expiry": lambda demo: demo.sign(exp=None),
    "another type": lambda demo: demo.sign(typ="JWT"),
    "empty": lambda _: "",
    "not a token": lambda _: "not a token",
    "three parts": lambda _: "a.b.c",
    "not ASCII": lambda _: "é.é.é",
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("library", LIBRARIES)
def test_library_refuses_a_forged_token(load: Load, demo: Demo, library: str, forged: str) -> None:
    verify = load(library, demo.server)
    assert verify(demo.sign())["sub"] == "1"
    with pytest.raises(RAISES[library]):
        verify(FORGED[forged](demo))


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_allows_the_documented_difference_of_clocks(
    load: Load, demo: Demo, library: str
) -> None:
    verify = load(library, demo.server)
    token = demo.sign(iat=now() + 5 if library != "Authlib" else now())
    assert verify(token)["sub"] == "1"


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Change the algorithm, so that keys of both algorithms are published."""
    folder = tmp_path_factory.mktemp("changed")
    with make_demo(folder, "EdDSA") as demo:
        kid = change_keys(demo.home, "new", "--algorithm", "ES256")
        change_keys(demo.home, "promote", kid, "--now")
        wait_until(lambda: jwt.get_unverified_header(demo.sign_in())["kid"] == kid)
        yield demo


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_verifies_tokens_after_a_change_of_the_algorithm(
    load: Load, changed: Demo, library: str
) -> None:
    assert load(library, changed.server)(changed.sign_in())["sub"] == "1"


def test_published_keys_are_fetched_once_in_five_minutes(load: Load, demo: Demo) -> None:
    verify = load("joserfc", demo.server)
    for _ in range(3):
        verify(demo.sign_in())
    assert sys.modules["published_keys"]._fetch.cache_info().misses == 1
