"""Every algorithm of other issuers, with signatures of several libraries.

The refused tokens are of the kinds of the public vectors of the project Wycheproof.
"""

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws as joserfc_jws
from joserfc.jwk import import_key
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from ordergate.adapters.tokens.jws import read_jws
from ordergate.adapters.tokens.keys.algorithms import PUBLIC_ALGORITHMS
from ordergate.adapters.tokens.keys.encoding import decode_base64url
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.application.errors import InvalidToken
from tests.support.tokens.jose import (
    FOREIGN_ALGORITHMS,
    SECRET,
    encode,
    private_key,
    public_jwk,
    sign,
)

EDWARDS = {"EdDSA": "Ed25519", "Ed25519": "Ed25519", "Ed448": "Ed448"}
ECDSA = {"ES256": 32, "ES384": 48, "ES512": 66}
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


def keys(algorithm: str, **more: object) -> KeySet:
    return KeySet.from_jwks({"keys": [public_jwk(algorithm, **more)]})


def refused(token: str, key_set: KeySet) -> None:
    with pytest.raises(InvalidToken):
        read_jws(token, key_set)


def test_algorithms_are_those_of_public_keys() -> None:
    assert list(PUBLIC_ALGORITHMS) == FOREIGN_ALGORITHMS


@pytest.mark.parametrize("algorithm", FOREIGN_ALGORITHMS)
def test_token_is_read_with_a_key_with_and_without_alg(algorithm: str) -> None:
    token = sign(algorithm, b"a payload", kid="one")
    for more in ({}, {"alg": algorithm}, {"use": "sig"}, {"key_ops": ["verify"]}):
        header, payload = read_jws(token, keys(algorithm, kid="one", **more))
        assert (header["alg"], payload) == (algorithm, b"a payload")


def test_key_with_a_misspelled_algorithm_is_read() -> None:
    """Some issuers, and public test vectors, name ES512 by its curve."""
    own = keys("ES512", alg="ES521")
    assert read_jws(sign("ES512"), own)
    refused(sign("ES512", header='{"alg":"ES521"}'), own)
    assert keys("ES256", alg="ES521").keys == ()


@pytest.mark.parametrize("algorithm", FOREIGN_ALGORITHMS)
def test_jwcrypto_signs_tokens_that_are_read(algorithm: str) -> None:
    pem = private_key(algorithm).private_bytes(PEM, PKCS8, PLAIN)
    signed = JWS(b"a payload")
    # It knows EdDSA by its older name alone.
    name = "EdDSA" if algorithm in EDWARDS else algorithm
    signed.add_signature(JWK.from_pem(pem), name, json.dumps({"alg": name}))
    header, payload = read_jws(signed.serialize(compact=True), keys(algorithm))
    assert (header, payload) == ({"alg": name}, b"a payload")


@pytest.mark.parametrize("algorithm", sorted({*FOREIGN_ALGORITHMS} - {"EdDSA"}))
def test_joserfc_signs_tokens_that_are_read(algorithm: str) -> None:
    pem = private_key(algorithm).private_bytes(PEM, PKCS8, PLAIN)
    kty: Any = {"R": "RSA", "P": "RSA"}.get(algorithm[0], "OKP" if algorithm in EDWARDS else "EC")
    token = joserfc_jws.serialize_compact(
        {"alg": algorithm}, b"a payload", import_key(pem, kty), algorithms=[algorithm]
    )
    assert read_jws(token, keys(algorithm)) == ({"alg": algorithm}, b"a payload")


@pytest.mark.parametrize("algorithm", EDWARDS)
@pytest.mark.parametrize("alg", [None, "EdDSA", "the curve"])
def test_edwards_key_has_two_names_of_one_algorithm(algorithm: str, alg: str | None) -> None:
    """RFC 9864, section 2.2: `EdDSA` is deprecated; curves have names instead."""
    curve = EDWARDS[algorithm]
    jwk = public_jwk(algorithm) if alg is None else public_jwk(algorithm, alg=alg)
    if alg == "the curve":
        jwk["alg"] = curve
    for name in ("EdDSA", curve):
        token = sign(algorithm, header=json.dumps({"alg": name}))
        assert read_jws(token, KeySet.from_jwks(jwk))
    other = next(name for name in ("Ed25519", "Ed448") if name != curve)
    refused(sign(algorithm, header=json.dumps({"alg": other})), KeySet.from_jwks(jwk))
    assert KeySet.from_jwks({**jwk, "alg": other}).keys == ()


@pytest.mark.parametrize("algorithm", FOREIGN_ALGORITHMS)
def test_token_of_another_algorithm_is_refused(algorithm: str) -> None:
    """The key decides the algorithm, although another name's signature would match."""
    own = keys(algorithm, alg=algorithm)
    same = {"EdDSA", "Ed25519"} if algorithm in {"EdDSA", "Ed25519"} else {algorithm}
    if algorithm == "Ed448":
        same |= {"EdDSA"}
    for other in [*FOREIGN_ALGORITHMS, "HS256", "none", "RS1", "ES256K", "ESP256", algorithm + " "]:
        if other not in same:
            refused(sign(algorithm, header=json.dumps({"alg": other})), own)
            if other in FOREIGN_ALGORITHMS:
                refused(sign(other), own)


@pytest.mark.parametrize("algorithm", FOREIGN_ALGORITHMS)
def test_changed_token_is_refused(algorithm: str) -> None:
    header, payload, signature = sign(algorithm, kid="one").split(".")
    own = keys(algorithm, kid="one")
    letter = "A" if signature[0] != "A" else "B"
    for changed in (
        f"{header}.{payload}.{letter}{signature[1:]}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{encode(b'other')}.{signature}",
        f"{header}..{signature}",
        f".{payload}.{signature}",
        f"{payload}.{signature}",
        f"{encode(json.dumps({'alg': algorithm, 'kid': 'two'}).encode())}.{payload}.{signature}",
        f"{encode(json.dumps({'alg': 'none', 'kid': 'one'}).encode())}.{payload}.",
        f"{header}.{payload}.{signature}.",
        f"{header}.{payload}.{signature}.{payload}",
        f"{header} .{payload}.{signature}",
        f"{header}.{payload}.{signature}=",
        json.dumps({"payload": payload, "protected": header, "signature": signature}),
    ):
        refused(changed, own)


@pytest.mark.parametrize("algorithm", FOREIGN_ALGORITHMS)
def test_token_with_its_own_key_is_refused(algorithm: str) -> None:
    attacker = public_jwk(algorithm, kid="one")
    refused(sign(algorithm, kid="one", jwk=attacker), keys(algorithm, kid="one"))


@pytest.mark.parametrize("algorithm", FOREIGN_ALGORITHMS)
def test_public_key_is_no_secret(algorithm: str) -> None:
    public = private_key(algorithm).public_key()
    pem = public.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = json.dumps({"alg": "HS256"})
    for secret in (SECRET, pem.replace(b"-----", b"")):
        refused(sign("HS256", header=header, key=secret), keys(algorithm))


@pytest.mark.parametrize("algorithm", ECDSA)
def test_ecdsa_signature_has_one_encoding(algorithm: str) -> None:
    header, payload, text = sign(algorithm).split(".")
    size, raw = ECDSA[algorithm], decode_base64url(text)
    assert len(raw) == 2 * size
    r, s = int.from_bytes(raw[:size]), int.from_bytes(raw[size:])
    order = ORDERS[size]
    for wrong in (
        encode_dss_signature(r, s),
        b"\0" + raw,
        raw + b"\0",
        raw[:size] + b"\0" + raw[size:],
        raw[:-1],
        bytes(2 * size),
        *(one.to_bytes(size) + raw[size:] for one in (0, order, order + 1)),
        *(raw[:size] + one.to_bytes(size) for one in (0, order, order - 1)),
    ):
        refused(f"{header}.{payload}.{encode(wrong)}", keys(algorithm))


ORDERS = {
    32: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    48: (1 << 384) - 1388124618062372383947042015309946732620727252194336364173,
    66: (1 << 521) - 657877501894328237357444332315020117536923257219387276263472201219398408051703,
}
"""The orders of the curves (NIST SP 800-186, section 3.2.1)."""


@pytest.mark.parametrize("algorithm", ECDSA)
def test_coordinate_has_the_size_of_its_curve(algorithm: str) -> None:
    jwk = public_jwk(algorithm)
    x = decode_base64url(jwk["x"])
    for wrong in (b"\0" + x, x[1:], b""):
        assert KeySet.from_jwks({**jwk, "x": encode(wrong)}).keys == ()


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_pss_salt_is_as_long_as_the_hash(bits: int) -> None:
    """RFC 7518, section 3.5."""
    algorithm = f"PS{bits}"
    hash_algorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}[bits]
    header, payload, _ = sign(algorithm).split(".")
    for length in (0, bits // 8 - 1, bits // 8, bits // 8 + 1):
        pss = padding.PSS(padding.MGF1(hash_algorithm), length)
        signature = private_key(algorithm).sign(f"{header}.{payload}".encode(), pss, hash_algorithm)
        token = f"{header}.{payload}.{encode(signature)}"
        if length == bits // 8:
            assert read_jws(token, keys(algorithm))
        else:
            refused(token, keys(algorithm))


FIELD_448 = 2**448 - 2**224 - 1


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("y", [0, 1, FIELD_448 - 1, FIELD_448, FIELD_448 + 1, 2**448 - 1])
def test_ed448_key_of_small_order_is_refused(y: int, sign_bit: int) -> None:
    x = bytearray(y.to_bytes(57, "little"))
    x[56] |= sign_bit
    refusals = KeySet.from_jwks({"kty": "OKP", "crv": "Ed448", "x": encode(bytes(x))}).refused
    assert refusals == ("key 0: the point is of small order or not in its one encoding",)


DIGEST_INFO = {
    256: "3031300d060960864801650304020105000420",
    384: "3041300d060960864801650304020205000430",
    512: "3051300d060960864801650304020305000440",
}
"""The beginnings of the DigestInfo of SHA-2 (RFC 8017, section 9.2, note 1)."""


@pytest.mark.parametrize("bits", DIGEST_INFO)
def test_pkcs1_padding_has_one_form(bits: int) -> None:
    """Signatures over modified paddings, made with the private key itself."""
    algorithm = f"RS{bits}"
    numbers = private_key(algorithm).private_numbers()
    n, d = numbers.public_numbers.n, numbers.d
    size = (n.bit_length() + 7) // 8
    header, payload, _ = sign(algorithm).split(".")
    signed = f"{header}.{payload}".encode()
    digest = hashlib.new(f"sha{bits}", signed).digest()
    info = bytes.fromhex(DIGEST_INFO[bits])

    def token(hashed: bytes, *, block: int = 1, fill: int = 0xFF, end: bytes = b"") -> str:
        padding_bytes = bytes([fill]) * (size - 3 - len(hashed) - len(end))
        padded = bytes([0, block]) + padding_bytes + b"\0" + hashed + end
        signature = pow(int.from_bytes(padded), d, n).to_bytes(size)
        return f"{header}.{payload}.{encode(signature)}"

    own = keys(algorithm)
    assert read_jws(token(info + digest), own), "the unmodified padding"
    other = bytes.fromhex(DIGEST_INFO[256 if bits == 512 else 512])
    without_null = bytes([0x30, info[1] - 2, 0x30, 0x0B]) + info[4:15] + info[17:]
    long_length = bytes([0x30, 0x81, info[1]]) + info[2:]
    for wrong in (
        token(info + digest, block=2),
        token(info + digest, block=0),
        token(info + digest, fill=0xFE),
        token(info + digest, end=b"\0"),
        token(info + digest, end=b"garbage"),
        token(digest),
        token(b""),
        token(other + digest),
        token(info + digest[:-1]),
        token(info + bytes(len(digest))),
        token(info[:-1] + bytes([info[-1] - 1]) + digest),
        token(without_null + digest),
        token(long_length + digest),
        token(b"\x04" + bytes([len(digest)]) + digest),
    ):
        refused(wrong, own)
    good = decode_base64url(token(info + digest).split(".")[2])
    for changed in (
        b"\0" + good,
        good + b"\0",
        good[:-1],
        (int.from_bytes(good) + n).to_bytes(size + 1),
        bytes(size),
        n.to_bytes(size),
    ):
        refused(f"{header}.{payload}.{encode(changed)}", own)
