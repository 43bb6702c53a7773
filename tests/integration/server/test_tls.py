"""TLS by certificate files, without a proxy."""

import signal
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.factories.tls import TlsFiles
from tests.support.program.certificates import write_certificate
from tests.support.program.command import (
    CHEAP,
    SECONDS,
    error_line,
    not_as_root,
    ordergate,
    wait_until,
)
from tests.support.program.server import Server, Start


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    assert ordergate("migrate", cwd=folder).returncode == 0
    return folder


def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def connect(server: Server, context: ssl.SSLContext) -> ssl.SSLSocket:
    host, port = server.url.removeprefix("https://").split(":")
    plain = socket.create_connection((host, int(port)), SECONDS)
    return context.wrap_socket(plain, server_hostname=host)


def present(server: Server) -> bytes | None:
    """Return the certificate that the server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connect(server, context) as client:
        return client.getpeercert(binary_form=True)


def read_certificate(file: Path) -> bytes:
    text = file.read_text()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----BEGIN PRIVATE KEY-----")])


def test_service_speaks_tls(migrated: Path, start: Start) -> None:
    file = write_certificate(migrated)
    tls = {"TLS_CERTIFICATE_FILE": file, "TLS_KEY_FILE": file}
    server = start("serve", cwd=migrated, **CHEAP, **tls)
    assert server.url.startswith("https://127.0.0.1:")
    with httpx2.Client(base_url=server.url, timeout=SECONDS, verify=trust(file)) as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        assert client.get("/me").status_code == 401
    with pytest.raises(httpx2.TransportError):
        httpx2.get(server.url.replace("https", "http"), timeout=SECONDS)
    former = trust(file)
    former.maximum_version = ssl.TLSVersion.TLSv1_2
    former.set_alpn_protocols(["h2", "http/1.1"])
    with connect(server, former) as raw:
        assert (raw.version(), raw.selected_alpn_protocol()) == ("TLSv1.2", "http/1.1")
        raw.sendall(b"GET / HTTP/1.1\r\nwrong\r\n\r\n")
        assert raw.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
    address = {"LISTEN_PORT": server.url.rpartition(":")[2]}
    healthy = ordergate("health", cwd=migrated, **address, **tls)
    place = f"127.0.0.1 port {address['LISTEN_PORT']}"
    assert (healthy.returncode, healthy.stdout) == (0, f"The server at {place} is ready.\n")
    assert server.stop() == 0


def test_replaced_workers_read_a_renewed_certificate(migrated: Path, start: Start) -> None:
    file = write_certificate(migrated)
    tls = {"TLS_CERTIFICATE_FILE": file, "TLS_KEY_FILE": file}
    server = start("serve", "--workers", 2, cwd=migrated, **CHEAP, **tls)
    assert present(server) == read_certificate(file)
    write_certificate(migrated)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: present(server) == read_certificate(file))
    assert server.stop() == 0


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    file = write_certificate(tmp_path)
    context = TlsFiles(file, file).make_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def encrypt(file: Path) -> Path:
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    encrypted = file.with_name("encrypted.pem")
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return encrypted


def find_mistake(certificate: Path, key: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        TlsFiles(certificate, key).make_context()
    (problem,) = caught.value.problems
    return problem


def test_mistake_in_the_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    file, other = write_certificate(tmp_path), write_certificate(tmp_path / "other")
    missing, nonsense, encrypted = tmp_path / "missing", tmp_path / "nonsense", encrypt(file)
    nonsense.write_text("hunter2")
    certificate, key = "ORDERGATE_TLS_CERTIFICATE_FILE: ", "ORDERGATE_TLS_KEY_FILE: "
    assert find_mistake(missing, file) == f"{certificate}{missing}: No such file or directory"
    assert find_mistake(file, missing) == f"{key}{missing}: No such file or directory"
    assert find_mistake(tmp_path, file) == f"{certificate}{tmp_path}: Is a directory"
    assert find_mistake(nonsense, file) == f"{certificate}{nonsense} has no certificate in PEM"
    assert find_mistake(file, nonsense) == f"{key}{nonsense} has no private key in PEM"
    assert find_mistake(file, other) == f"{key}{other} is not the key of the certificate {file}"
    of_another_type = tmp_path / "ed25519"
    of_another_type.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    is_of_another = f"{key}{of_another_type} is not the key of the certificate {file}"
    assert find_mistake(file, of_another_type) == is_of_another
    broken_chain = tmp_path / "chain"
    broken_chain.write_text(
        f"{file.read_text()}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    assert find_mistake(broken_chain, file).startswith(f"{certificate}{broken_chain} has no")
    assert find_mistake(file, encrypted).startswith(f"{key}{encrypted} is encrypted; `openssl pkey")


@not_as_root
def test_unreadable_key_names_its_owner(tmp_path: Path) -> None:
    file = write_certificate(tmp_path)
    key = file.rename(tmp_path / "key.pem")
    file = write_certificate(tmp_path)
    key.chmod(0)
    assert "with mode 0000; this process runs as" in find_mistake(file, key)


def test_serve_does_not_start_with_the_key_of_another(migrated: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    file, other = write_certificate(tmp_path), write_certificate(tmp_path / "other")
    done = ordergate("serve", cwd=migrated, TLS_CERTIFICATE_FILE=file, TLS_KEY_FILE=other)
    assert error_line(done).startswith(f"ORDERGATE_TLS_KEY_FILE: {other} is not the key of")


@pytest.mark.parametrize(
    ("lasting", "end"),
    [
        (timedelta(days=60), ""),
        (timedelta(days=9, hours=1), ", for 9 days; renew it, and restart the service"),
    ],
    ids=["long", "short"],
)
def test_doctor_says_how_long_the_certificate_is_valid(
    migrated: Path, lasting: timedelta, end: str
) -> None:
    file = write_certificate(migrated, lasting=lasting)
    tls = {"TLS_CERTIFICATE_FILE": file, "TLS_KEY_FILE": file}
    done = ordergate("doctor", cwd=migrated, **CHEAP, **tls)
    (line,) = (each for each in done.stdout.splitlines() if "  tls  " in each)
    assert line.startswith("warning" if end else "ok")
    assert line.endswith(end)
    (files,) = (each for each in done.stdout.splitlines() if " files " in each)
    assert f"{file} is open to every user" in files


def test_doctor_fails_for_an_expired_certificate(migrated: Path) -> None:
    file = write_certificate(migrated, lasting=-timedelta(minutes=1))
    tls = {"TLS_CERTIFICATE_FILE": file, "TLS_KEY_FILE": file}
    done = ordergate("doctor", cwd=migrated, **CHEAP, **tls)
    (line,) = (each for each in done.stdout.splitlines() if "  tls  " in each)
    assert line.startswith("failed")
    assert f"{file} has expired on " in line
    assert line.endswith("; renew it, and restart the service")
    assert done.returncode == 1
