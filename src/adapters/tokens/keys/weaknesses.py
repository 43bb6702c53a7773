"""Weaknesses of public keys whose signatures must be refused."""

import math
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_MODULUS_BITS = 2048
MAX_MODULUS_BITS = 8192
MIN_EXPONENT = 65_537
MAX_EXPONENT_BITS = 64
_LARGEST_PRIME = 167

_FIELD = 2**255 - 19
_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})
"""The y coordinates of the points of edwards25519 whose order divides 8."""

_FIELD_448 = 2**448 - 2**224 - 1
_SMALL_ORDER_448 = frozenset({0, 1, _FIELD_448 - 1})
"""The y coordinates of the points of edwards448 whose order divides 4."""

_SMALL_ORDER_POINT = "the point is of small order or not in its one encoding"


def find_rsa_weakness(key: RSAPublicKey) -> str | None:
    """Describe the weakness of an RSA key, or return `None`."""
    numbers = key.public_numbers()
    if not MIN_MODULUS_BITS <= numbers.n.bit_length() <= MAX_MODULUS_BITS:
        return f"the modulus does not have {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS} bits"
    if numbers.e < MIN_EXPONENT or numbers.e % 2 == 0 or numbers.e.bit_length() > MAX_EXPONENT_BITS:
        return f"the exponent is not odd, {MIN_EXPONENT} or more, and of at most 64 bits"
    if math.gcd(numbers.n, _multiply_small_primes()) > 1:
        return "the modulus has a small factor"
    if all(numbers.n % prime in powers for prime, powers in _list_powers_of_65537().items()):
        return "the modulus has the ROCA fingerprint (CVE-2017-15361)"
    return None


def find_ed25519_weakness(key: Ed25519PublicKey) -> str | None:
    """Describe the weakness of an Ed25519 key, or return `None`.

    Under a key of small order, one signature is valid for many messages, so it can be forged. A y
    that is not reduced is a second encoding of another key (RFC 8032, section 5.1.3).
    """
    y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
    if y >= _FIELD or y in _SMALL_ORDER:
        return _SMALL_ORDER_POINT
    return None


def find_ed448_weakness(key: Ed448PublicKey) -> str | None:
    """Describe the same weaknesses of an Ed448 key, or return `None` (RFC 8032, section 5.2.3)."""
    y = int.from_bytes(key.public_bytes_raw(), "little") & (2**455 - 1)
    return _SMALL_ORDER_POINT if y >= _FIELD_448 or y in _SMALL_ORDER_448 else None


@cache
def _multiply_small_primes() -> int:
    """Multiply the primes that may not divide a modulus (NIST SP 800-89).

    Section 5.3.3 has the bound.
    """
    return math.prod(n for n in range(2, 752) if all(n % d for d in range(2, math.isqrt(n) + 1)))


@cache
def _list_powers_of_65537() -> dict[int, frozenset[int]]:
    """Map each odd prime to 167 to the powers of 65537.

    The primes that the flawed library made are powers of 65537 modulo every small prime, so their
    products are as well; a random modulus is with a chance of about 2^-28 (Nemec et al., The Return
    of Coppersmith's Attack, 2017, section 3).
    """
    primes = [n for n in range(3, _LARGEST_PRIME + 1) if all(n % d for d in range(2, n))]
    return {
        prime: frozenset(pow(65_537, exponent, prime) for exponent in range(prime - 1))
        for prime in primes
    }
