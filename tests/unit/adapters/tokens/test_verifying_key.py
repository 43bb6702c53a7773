from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ordergate.adapters.tokens.jws import read_jws
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.verifying_key import VerifyingKey
from ordergate.adapters.tokens.keys.weaknesses import find_rsa_weakness
from ordergate.application.errors import InvalidToken
from tests.support.tokens.jose import (
    ALGORITHMS,
    Jwk,
    encode,
    number,
    private_key,
    public_jwk,
    roca_key,
    sign,
    to_jwk,
)


def verifies(jwk: Jwk, algorithm: str, key: object = None) -> bool:
    """Return whether a token that the key signed verifies with this JWK."""
    try:
        read_jws(sign(algorithm, key=key), KeySet.from_jwks(jwk))
    except InvalidToken:
        return False
    return True


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"], "use": "sig"},
        {"kid": "one", "x5t": "unknown members are ignored"},
    ],
)
def test_key_for_signatures_verifies(algorithm: str, more: Jwk) -> None:
    assert verifies(public_jwk(algorithm, **more), algorithm)
    assert verifies(public_jwk(algorithm, alg=algorithm, **more), algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "more",
    [
        {"use": "enc"},
        {"use": ""},
        {"use": None},
        {"use": ["sig"]},
        {"key_ops": []},
        {"key_ops": ["sign"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["verify", "encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"key_ops": [["verify"]]},
        {"use": "sig", "key_ops": ["wrapKey"]},
        {"use": "enc", "key_ops": ["verify"]},
        {"alg": "none"},
        {"alg": "RSA-OAEP"},
        {"alg": ""},
        {"alg": None},
    ],
    ids=str,
)
def test_key_for_anything_else_verifies_nothing(algorithm: str, more: Jwk) -> None:
    assert verifies(public_jwk(algorithm), algorithm)
    assert not verifies(public_jwk(algorithm, **more), algorithm)


def test_key_of_one_kind_is_for_one_algorithm() -> None:
    for kind in ALGORITHMS:
        for algorithm in ALGORITHMS:
            assert verifies(public_jwk(kind, alg=algorithm), kind) == (kind == algorithm)


def test_private_key_keeps_its_public_part_alone() -> None:
    private = {**public_jwk("EdDSA"), "d": encode(private_key("EdDSA").private_bytes_raw())}
    assert verifies(private, "EdDSA")
    assert private["d"] not in repr(KeySet.from_jwks(private))


def test_repr_does_not_contain_keys() -> None:
    assert public_jwk("HS256")["k"] not in repr(KeySet.from_jwks(public_jwk("HS256")))
    assert "a secret" not in repr(KeySet.from_jwks(public_jwk("HS256")))


@pytest.mark.parametrize("member", ["x", "y", "e", "n", "k"])
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v + "=",
        lambda v: v[:-4],
        lambda _: "",
        lambda _: None,
        lambda _: 5,
        lambda v: v + "é",
    ],
)
def test_malformed_key_is_left_out(member: str, change: Callable[[str], object]) -> None:
    for algorithm in ALGORITHMS:
        jwk = public_jwk(algorithm)
        if member in jwk:
            assert not verifies({**jwk, member: change(jwk[member])}, algorithm)
            del jwk[member]
            assert not verifies(jwk, algorithm)


def test_point_off_the_curve_is_refused() -> None:
    jwk = public_jwk("ES256")
    assert not verifies({**jwk, "x": jwk["y"], "y": jwk["x"]}, "ES256")
    assert not verifies({**jwk, "crv": "P-384"}, "ES256")
    assert not verifies({**jwk, "crv": "secp256k1"}, "ES256")


def test_short_secret_is_refused() -> None:
    assert verifies(to_jwk(b"x" * 32), "HS256", b"x" * 32)
    assert not verifies(to_jwk(b"x" * 31), "HS256", b"x" * 31)


# RSA


def test_rsa_key_of_fewer_than_2048_bits_is_left_out() -> None:
    too_short = 1024
    key = rsa.generate_private_key(65537, too_short)
    assert "2048" in (find_rsa_weakness(key.public_key()) or "")
    keys = KeySet.from_jwks(to_jwk(key))
    assert (keys.keys, len(keys.refused)) == ((), 1)


@pytest.mark.parametrize("exponent", [1, 2, 3, 17, 65535, 65536, 65538, 2**64 + 1])
def test_rsa_key_with_another_exponent_is_left_out(exponent: int) -> None:
    jwk = {**public_jwk("RS256"), "e": number(exponent)}
    assert len(KeySet.from_jwks(jwk).refused) == 1
    assert not verifies(jwk, "RS256")


def test_rsa_key_with_the_roca_weakness_is_left_out() -> None:
    key = roca_key()
    token = sign("RS256", key=key)
    unchecked = KeySet.from_keys([VerifyingKey(None, frozenset({"RS256"}), key.public_key())])
    assert read_jws(token, unchecked), "the signature itself is good"
    assert not verifies(to_jwk(key), "RS256", key)
    assert KeySet.from_jwks(to_jwk(key)).refused == (
        "key 0: the modulus has the ROCA fingerprint (CVE-2017-15361)",
    )


def test_ordinary_rsa_key_has_no_weakness() -> None:
    assert find_rsa_weakness(private_key("RS256").public_key()) is None


def test_huge_rsa_key_is_left_out() -> None:
    jwk = {"kty": "RSA", "n": number(2**8192 + 1), "e": "AQAB"}
    assert len(KeySet.from_jwks(jwk).refused) == 1


FIELD = 2**255 - 19
SMALL_ORDER = [0, 1, FIELD - 1, FIELD, FIELD + 1]
ORDER_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03"


@pytest.mark.parametrize("n", [3**1292, 2**2048 - 1, 751 * (2**2040 + 1), 2**2048 + 2])
def test_rsa_key_with_a_small_factor_is_refused(n: int) -> None:
    refusals = KeySet.from_jwks({"kty": "RSA", "n": number(n), "e": "AQAB"}).refused
    assert len(refusals) == 1


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize(
    "point",
    [
        *(y.to_bytes(32, "little").hex() for y in SMALL_ORDER),
        ORDER_8 + "7a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        (2**255 - 1).to_bytes(32, "little").hex(),
    ],
)
def test_ed25519_key_of_small_order_is_refused(point: str, sign_bit: int) -> None:
    x = bytearray.fromhex(point)
    x[31] |= sign_bit
    refusals = KeySet.from_jwks({"kty": "OKP", "crv": "Ed25519", "x": encode(bytes(x))}).refused
    assert refusals == ("key 0: the point is of small order or not in its one encoding",)


def test_neutral_point_would_accept_one_signature_for_every_message() -> None:
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)
    for message in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(neutral).verify(forged, message)
