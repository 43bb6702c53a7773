"""Make keys and tokens for tests, valid ones and invalid ones."""

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from tests.support.tokens.vectors import ROCA_KEY

Jwk = dict[str, Any]

SECRET = b"a secret of more than thirty-two bytes"
ALGORITHMS = ["EdDSA", "ES256", "RS256", "HS256"]
"""Those of our own tokens."""

FOREIGN_ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
]
"""Those of other issuers."""


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


_KEY_MAKERS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "another EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "HS256": lambda: SECRET,
}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


@cache
def private_key(algorithm: str) -> Any:
    if algorithm[:2] in {"RS", "PS"} and algorithm != "RS256":
        return private_key("RS256")  # the making of another takes long
    return _KEY_MAKERS[algorithm]()


def public_jwk(algorithm: str, **more: object) -> Jwk:
    return {**to_jwk(private_key(algorithm)), **more}


def to_jwk(key: Any) -> Jwk:
    if isinstance(key, bytes):
        return {"kty": "oct", "k": encode(key)}
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(public.public_bytes_raw())}
    if isinstance(public, ed448.Ed448PublicKey):
        return {"kty": "OKP", "crv": "Ed448", "x": encode(public.public_bytes_raw())}
    numbers = public.public_numbers()
    if isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        x, y = (encode(n.to_bytes(size)) for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": _CURVES[public.curve.name], "x": x, "y": y}
    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}


def sign(
    algorithm: str,
    payload: bytes = b'{"a":1}',
    *,
    header: str | None = None,
    key: Any = None,
    **members: object,
) -> str:
    """Sign with the key, even if the header names another.

    `header` is its text, else `members` are added.
    """
    text = header if header is not None else json.dumps({"alg": algorithm, **members})
    signed = f"{encode(text.encode('utf-8', 'surrogatepass'))}.{encode(payload)}"
    return f"{signed}.{signature(algorithm, signed, key)}"


def signature(algorithm: str, signed: str, key: Any = None) -> str:
    signer = get_default_algorithms()["EdDSA" if algorithm.startswith("Ed") else algorithm]
    return encode(signer.sign(signed.encode(), private_key(algorithm) if key is None else key))


def rsa_key(p: int, q: int, e: int = 65537) -> rsa.RSAPrivateKey:
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    crt = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, d, *crt, public).private_key()


def roca_key() -> rsa.RSAPrivateKey:
    p, q = (
        int.from_bytes(base64.urlsafe_b64decode(prime + "=" * (-len(prime) % 4)))
        for prime in ROCA_KEY.values()
    )
    return rsa_key(p, q)
