"""TLS of connections to MariaDB, with a certificate for 127.0.0.1."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ordergate.adapters.sql.mysql.readiness import find_reason_to_wait
from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.application.errors import StorageUnavailable
from tests.support.databases.database_server import PASSWORD
from tests.support.databases.mariadb import MariadbServer, database_at
from tests.support.program.certificates import write_certificate

VERSION = "SHOW SESSION STATUS LIKE 'Ssl_version'"


@pytest.fixture(scope="module")
def secured(mariadb_program: Path) -> Iterator[MariadbServer]:
    """Run a server with the certificate in its folder."""
    server = MariadbServer(mariadb_program)
    file = write_certificate(server.folder)
    server.own(file)
    server.options = (f"--ssl-cert={file}", f"--ssl-key={file}")
    with server.running():
        yield server


@pytest.fixture
def ca(secured: MariadbServer) -> Path:
    return secured.folder / "server.pem"


def at_another_name(url: str) -> str:
    """Return the URL by a name that the certificate lacks."""
    return url.replace("127.0.0.1", "localhost")


async def version_of_tls(url: str) -> str:
    """Return the version of TLS of a connection, empty without TLS."""
    database = database_at(url)
    _, version = await database.read(lambda c: c.exec_driver_sql(VERSION).one())
    await database.close()
    return str(version)


async def refusal(url: str) -> str:
    """Return the message of a refused connection."""
    with pytest.raises(StorageUnavailable) as refused:
        await SqlStorage(database_at(url)).open()
    assert await find_reason_to_wait(url) is None
    said = str(refused.value)
    for secret in (PASSWORD, PASSWORD.replace(" ", "%20")):
        assert secret not in f"{said}{refused.value.__cause__}{refused.value.__context__}"
    assert "\n" not in said
    return said


@pytest.mark.parametrize("query", ["", "?ssl-mode=PREFERRED", "?ssl-mode=REQUIRED"])
async def test_certificate_is_not_verified_unless_the_url_says_so(
    secured: MariadbServer, query: str
) -> None:
    assert await version_of_tls(f"{at_another_name(secured.url())}{query}") == "TLSv1.3"
    assert await version_of_tls(f"{secured.url()}?ssl-mode=DISABLED") == ""


async def test_certificate_of_the_ca_is_verified(secured: MariadbServer, ca: Path) -> None:
    verified = f"ssl-mode=VERIFY_CA&ssl-ca={ca}"
    for url in (secured.url(), at_another_name(secured.url())):
        assert await version_of_tls(f"{url}?{verified}") == "TLSv1.3"


@pytest.mark.parametrize("mode", ["", "ssl-mode=VERIFY_IDENTITY&"], ids=["default", "named"])
async def test_name_of_the_certificate_is_verified(
    secured: MariadbServer, ca: Path, mode: str
) -> None:
    query = f"?{mode}ssl-ca={ca}"
    assert await version_of_tls(f"{secured.url()}{query}") == "TLSv1.3"
    assert await refusal(f"{at_another_name(secured.url())}{query}") == (
        "MariaDB: the certificate of the server has another name: Hostname mismatch, certificate is"
        " not valid for 'localhost'; use a host of the certificate, as ssl-mode=VERIFY_IDENTITY"
        " needs"
    )


@pytest.mark.parametrize("mode", ["VERIFY_CA", "VERIFY_IDENTITY"])
async def test_certificate_of_another_ca_is_refused(
    secured: MariadbServer, tmp_path: Path, mode: str
) -> None:
    another = write_certificate(tmp_path)
    for files in ("", f"&ssl-ca={another}"):
        assert await refusal(f"{secured.url()}?ssl-mode={mode}{files}") == (
            "MariaDB: the certificate of the server is not trusted: self-signed certificate;"
            " name the file of its CA by ssl-ca, or renew it"
        )


@pytest.mark.parametrize("mode", ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
async def test_server_without_tls_is_refused_when_tls_is_required(
    mariadb_url: str, mode: str
) -> None:
    """The server of most tests has no certificate."""
    assert await version_of_tls(f"{mariadb_url}?ssl-mode=PREFERRED") == ""
    assert await refusal(f"{mariadb_url}?ssl-mode={mode}") == (
        "MariaDB: the server does not support TLS, which ssl-mode requires;"
        " enable TLS on the server, or change ssl-mode"
    )


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("ssl-ca={}", "ssl-ca"),
        ("ssl-mode=REQUIRED&ssl-cert={}", "ssl-cert or ssl-key"),
        ("ssl-mode=REQUIRED&ssl-cert={certificate}&ssl-key={}", "ssl-cert or ssl-key"),
    ],
    ids=["ssl-ca", "ssl-cert", "ssl-key"],
)
async def test_parameter_of_an_unusable_file_is_named(
    secured: MariadbServer, tmp_path: Path, query: str, parameter: str
) -> None:
    certificate, empty = write_certificate(tmp_path), tmp_path / "empty.pem"
    empty.touch()
    for file, reason in ((tmp_path / "none.pem", "No such file"), (empty, "")):
        said = await refusal(f"{secured.url()}?{query.format(file, certificate=certificate)}")
        assert said.startswith(f"MariaDB: the file of {parameter} cannot be used: {reason}")
        assert said.endswith("; name a readable file in PEM")
