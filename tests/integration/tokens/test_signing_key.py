"""Keys as OpenSSL makes them, in files as people keep them."""

from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ordergate.adapters.system.system_clock import SystemClock
from ordergate.adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from ordergate.adapters.tokens.keys.encoding import decode_base64url
from ordergate.adapters.tokens.keys.key_source import StaticKeys
from ordergate.adapters.tokens.keys.signing_key import InvalidSigningKey, SigningKey
from ordergate.adapters.tokens.keys.verifying_key import VerifyingKey
from ordergate.application.ports.tokens import Caller
from ordergate.domain.signing_keys import KeyAlgorithm
from ordergate.domain.user import UserId
from tests.support.program.captured_output import run_program
from tests.support.tokens.jose import roca_key


def openssl(*arguments: str, cwd: Path) -> None:
    run_program(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


async def signs(key: SigningKey) -> bool:
    second = timedelta(seconds=60)
    tokens = JwtTokenIssuer(
        keys=StaticKeys(key),
        clock=SystemClock(),
        issuer="i",
        audience="a",
        lifetime=second,
        leeway=second,
    )
    caller = Caller(UserId(1), "c")
    return await tokens.verify(tokens.issue(caller).value) == caller


@pytest.mark.parametrize(
    ("command", "algorithm"),
    [
        ("genpkey -algorithm ed25519 -out private.key", "EdDSA"),
        ("ecparam -name prime256v1 -genkey -noout -out private.key", "ES256"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private.key", "ES256"),
        ("genrsa -out private.key 4096", "RS256"),
        ("genrsa -traditional -out private.key 2048", "RS256"),
    ],
)
async def test_algorithm_follows_from_the_key(tmp_path: Path, command: str, algorithm: str) -> None:
    openssl(*command.split(), cwd=tmp_path)
    key = SigningKey.from_file(tmp_path / "private.key")
    assert key.algorithm == algorithm
    assert await signs(key)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("genrsa -out private.key 1024", "weak"),
        ("genpkey -algorithm ed448 -out private.key", "must be Ed25519"),
        ("ecparam -name secp384r1 -genkey -noout -out private.key", "must be Ed25519"),
        ("ecparam -name secp256k1 -genkey -noout -out private.key", "must be Ed25519"),
        ("genrsa -aes128 -passout pass:hunter2 -out private.key 2048", "without a passphrase"),
        ("genpkey -algorithm x25519 -out private.key", "must be Ed25519"),
    ],
)
def test_unsupported_key_is_reported(tmp_path: Path, command: str, reason: str) -> None:
    openssl(*command.split(), cwd=tmp_path)
    with pytest.raises(InvalidSigningKey, match=reason):
        SigningKey.from_file(tmp_path / "private.key")


def test_public_key_cannot_sign(tmp_path: Path) -> None:
    openssl("genpkey", "-algorithm", "ed25519", "-out", "private.key", cwd=tmp_path)
    openssl("pkey", "-in", "private.key", "-pubout", "-out", "public.key", cwd=tmp_path)
    with pytest.raises(InvalidSigningKey, match="not a PEM file with a private key"):
        SigningKey.from_file(tmp_path / "public.key")


def test_key_with_the_roca_weakness_cannot_sign() -> None:
    pem = roca_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(InvalidSigningKey, match="ROCA"):
        SigningKey.from_pem(pem)


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\n"])
def test_malformed_key_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "private.key").write_bytes(content)
    with pytest.raises(InvalidSigningKey, match="not a PEM file"):
        SigningKey.from_file(tmp_path / "private.key")


def test_unreadable_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidSigningKey, match="No such file"):
        SigningKey.from_file(tmp_path / "private.key")
    with pytest.raises(InvalidSigningKey, match="Is a directory"):
        SigningKey.from_file(tmp_path)


def test_key_is_named_by_its_thumbprint() -> None:
    """RFC 8037, appendix A.3: the key, its file and its thumbprint."""
    pem = (
        b"-----BEGIN PRIVATE KEY-----\n"
        b"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
        b"-----END PRIVATE KEY-----\n"
    )
    assert SigningKey.from_pem(pem).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("length", [0, 1, 31])
async def test_short_secret_cannot_sign(length: int) -> None:
    with pytest.raises(InvalidSigningKey, match="32 bytes"):
        SigningKey.from_secret("x" * length)
    assert await signs(SigningKey.from_secret("é" * 16))


def test_repr_does_not_contain_keys() -> None:
    assert "hunter2" not in repr(SigningKey.from_secret("hunter2" * 5))
    algorithms: list[KeyAlgorithm] = ["EdDSA", "ES256", "RS256"]
    for algorithm in algorithms:
        key = SigningKey.new(algorithm)
        assert repr(key) == f"SigningKey(algorithm={algorithm!r}, kid={key.kid!r})"


def numbers(key: ec.EllipticCurvePrivateKey) -> dict[str, int]:
    point = key.public_key().public_numbers()
    return {"x": point.x, "y": point.y, "d": key.private_numbers().private_value}


@pytest.mark.parametrize("member", ["x", "y", "d"])
def test_numbers_of_an_ec_key_keep_their_leading_zeros(member: str) -> None:
    """RFC 7518, sections 6.2.1.2 and 6.2.2.1: each has 32 bytes."""
    keys = (ec.derive_private_key(secret, ec.SECP256R1()) for secret in count(1))
    private = next(key for key in keys if numbers(key)[member] < 1 << 248)
    key = SigningKey.from_pem(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    jwk = key.private_jwk()
    assert decode_base64url(jwk[member])[0] == 0
    assert [len(decode_base64url(jwk[each])) for each in ("x", "y", "d")] == [32, 32, 32]
    assert SigningKey.from_jwk(jwk).private_jwk() == jwk
    assert VerifyingKey.from_jwk(key.public_jwk() or {}) == key.verifying()
