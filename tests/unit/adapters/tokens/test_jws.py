import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.tokens.jws import MAX_TOKEN_LENGTH, read_jws
from ordergate.adapters.tokens.keys.encoding import decode_base64url
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.unverified import read_key_id
from ordergate.application.errors import InvalidToken
from tests.support.tokens.jose import (
    ALGORITHMS,
    SECRET,
    encode,
    private_key,
    public_jwk,
    sign,
    signature,
)
from tests.support.tokens.vectors import VECTORS


@pytest.mark.parametrize("name", VECTORS)
def test_examples_of_the_rfcs_are_read(name: str) -> None:
    jwk, token, header, payload = VECTORS[name]
    assert read_jws(token, KeySet.from_jwks(jwk)) == (header, payload)
    assert read_jws(token.encode(), KeySet.from_jwks({"keys": [jwk]})) == (header, payload)


def keys(*algorithms: str, **more: object) -> KeySet:
    return KeySet.from_jwks({"keys": [public_jwk(algorithm, **more) for algorithm in algorithms]})


def refused(token: str | bytes, key_set: KeySet) -> str:
    with pytest.raises(InvalidToken) as refusal:
        read_jws(token, key_set)
    return str(refusal.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_token_signed_by_the_key_is_read(algorithm: str) -> None:
    token = sign(algorithm, b"any payload", typ="x")
    assert read_jws(token, keys(algorithm)) == ({"alg": algorithm, "typ": "x"}, b"any payload")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_token_changed_anywhere_is_refused(algorithm: str, part: int) -> None:
    parts = sign(algorithm, typ="at+jwt").split(".")
    for place in range(0, len(parts[part]), 7):
        changed = list(parts)
        letter = "A" if parts[part][place] != "A" else "B"
        changed[part] = parts[part][:place] + letter + parts[part][place + 1 :]
        refused(".".join(changed), keys(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "named", ["none", "None", "HS512", "ES384", "PS256", "EdDSA ", "", 5, None, ["RS256"]]
)
def test_token_that_names_another_algorithm_is_refused(algorithm: str, named: object) -> None:
    header = json.dumps({"alg": named})
    own = keys(algorithm, alg=algorithm)
    assert refused(sign(algorithm, header=header), own) == "alg is that of no known key"
    assert read_jws(sign(algorithm, header=json.dumps({"alg": algorithm})), keys(algorithm))


def test_token_without_an_algorithm_is_refused() -> None:
    refused(sign("EdDSA", header="{}"), keys("EdDSA"))


def test_public_key_is_not_accepted_as_a_secret() -> None:
    """The oldest attack: HS256 with the bytes of the public key (RFC 8725, section 2.1)."""
    for algorithm in ("EdDSA", "ES256", "RS256"):
        public = private_key(algorithm).public_key()
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            secret = public.public_bytes(encoding, info)
            refused(raw_hs256(secret), keys(algorithm))


def raw_hs256(secret: bytes) -> str:
    """Sign as an attacker would: PyJWT refuses to make such a token."""
    header, payload = encode(b'{"alg":"HS256"}'), encode(b"{}")
    signed = f"{header}.{payload}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), 'sha256'))}"


def test_unsigned_token_is_refused() -> None:
    header = encode(b'{"alg":"none"}')
    for token in (f"{header}.e30.", f"{header}.e30", f"{header}..", f"{header}.e30.AA"):
        refused(token, keys("EdDSA"))


@pytest.mark.parametrize("member", ["crit", "b64", "jwk", "jku", "x5c", "x5u"])
@pytest.mark.parametrize("value", [["b64"], True, {}, None, "https://evil.example"])
def test_header_that_brings_a_key_or_changes_the_rules_is_refused(member: str, value: Any) -> None:
    message = refused(sign("EdDSA", **{member: value}), keys("EdDSA"))
    assert message == "the header brings a key or changes how it is read"
    assert read_jws(sign("EdDSA", **{f"{member}x": value}), keys("EdDSA"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "[]",
        "null",
        '"x"',
        '{"alg":"EdDSA"',
        '{"alg":"EdDSA","alg":"EdDSA"}',
        '{"alg":"none","alg":"EdDSA"}',
        '{"alg":"EdDSA","x":{"a":1,"a":2}}',
        '{"alg":"EdDSA","x":NaN}',
        '{"alg":"EdDSA","x":-Infinity}',
        '{"alg":"EdDSA","x":' + "9" * 5000 + "}",
        '{"alg":"EdDSA","x":' + "[" * 4000 + "]" * 0 + "}",
        '{"alg":"EdDSA"} {}',
        '\ufeff{"alg":"EdDSA"}',
        '{"alg":"EdDSA","x":"\ud800"}',
    ],
    ids=lambda header: header[:40],
)
def test_header_requires_a_strict_json_object(header: str) -> None:
    refused(sign("EdDSA", header=header), keys("EdDSA"))
    assert read_jws(sign("EdDSA", header='{"alg":"EdDSA"}'), keys("EdDSA"))


@pytest.mark.parametrize("depth", [10, 500, 2900])
def test_deeply_nested_header_is_read_or_refused(depth: int) -> None:
    """Interpreters differ in their depth limit; all refuse in the same way."""
    header = '{"alg":"EdDSA","x":' + "[" * depth + "]" * depth + "}"
    try:
        assert read_jws(sign("EdDSA", header=header), keys("EdDSA"))[0].keys() == {"alg", "x"}
    except InvalidToken:
        assert depth > 10


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize(
    "how", ["{}=", "{}==", " {}", "{}\n", "{}+", "{}/", "{}A", "{}é", "{}\0", "{}\ud800"]
)
def test_base64url_has_one_form(part: int, how: str) -> None:
    parts = sign("EdDSA").split(".")
    parts[part] = how.format(parts[part])
    refused(".".join(parts), keys("EdDSA"))


def test_unused_bits_of_the_last_character_are_zero() -> None:
    token = sign("EdDSA")
    assert token[-1] in "AQgw"
    for letter in "BCDRhx":
        refused(token[:-1] + letter, keys("EdDSA"))


@pytest.mark.parametrize("payload", [b"", b"\xff\x00", b"x" * 5000])
def test_any_payload_can_be_signed(payload: bytes) -> None:
    assert read_jws(sign("EdDSA", payload), keys("EdDSA"))[1] == payload


def test_token_has_three_parts() -> None:
    token = sign("EdDSA")
    for other in (
        "",
        ".",
        "..",
        "...",
        token + ".",
        "." + token,
        token.replace(".", "", 1),
        token + ".e30",
    ):
        refused(other, keys("EdDSA"))


def test_long_token_is_refused_unread() -> None:
    room = MAX_TOKEN_LENGTH - len(sign("EdDSA", b""))
    fitting = sign("EdDSA", b"x" * (room * 3 // 4))
    assert len(fitting) <= MAX_TOKEN_LENGTH
    assert read_jws(fitting, keys("EdDSA"))
    longer = sign("EdDSA", b"x" * (room * 3 // 4 + 3))
    assert refused(longer, keys("EdDSA")) == "longer than 65536 characters"


# Which key


def test_token_that_names_a_key_is_verified_with_that_key_or_none() -> None:
    ours = keys("EdDSA", kid="one")
    assert read_jws(sign("EdDSA", kid="one"), ours)
    refused(sign("EdDSA", kid="two"), ours)
    refused(sign("EdDSA", kid="one"), keys("EdDSA"))


def test_token_that_names_no_key_is_verified_with_any() -> None:
    assert read_jws(sign("EdDSA"), keys("EdDSA", kid="one"))
    three = KeySet.from_jwks(
        {"keys": [public_jwk(algorithm, kid=algorithm) for algorithm in ALGORITHMS[:3]]}
    )
    for algorithm in ALGORITHMS[:3]:
        assert read_jws(sign(algorithm), three)


@pytest.mark.parametrize("kid", [5, None, True, ["one"], {}])
def test_kid_is_text(kid: object) -> None:
    refused(sign("EdDSA", kid=kid), keys("EdDSA", kid="one"))
    refused(sign("EdDSA", kid=kid), keys("EdDSA"))


def test_token_is_refused_when_the_set_is_empty() -> None:
    refused(sign("EdDSA"), KeySet.from_keys([]))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 71, 128])
def test_signature_of_another_length_is_refused(length: int) -> None:
    for algorithm in ALGORITHMS[:3]:
        header, payload, _ = sign(algorithm).split(".")
        refused(f"{header}.{payload}.{encode(b'x' * length)}", keys(algorithm))


def test_es256_signature_in_der_is_refused() -> None:
    header, payload, raw = sign("ES256").split(".")
    both = decode_base64url(raw)
    der = encode_dss_signature(int.from_bytes(both[:32]), int.from_bytes(both[32:]))
    refused(f"{header}.{payload}.{encode(der)}", keys("ES256"))


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("wrong", [0, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
@pytest.mark.parametrize("half", [0, 1])
def test_es256_number_out_of_range_is_refused(wrong: int, half: int) -> None:
    header, payload, raw = sign("ES256").split(".")
    numbers = [decode_base64url(raw)[:32], decode_base64url(raw)[32:]]
    assert read_jws(f"{header}.{payload}.{encode(b''.join(numbers))}", keys("ES256"))
    numbers[half] = wrong.to_bytes(32)
    refused(f"{header}.{payload}.{encode(b''.join(numbers))}", keys("ES256"))


def test_es256_signature_of_zeros_is_refused() -> None:
    header, payload, _ = sign("ES256").split(".")
    refused(f"{header}.{payload}.{encode(bytes(64))}", keys("ES256"))


def test_es256_signature_with_a_number_of_33_bytes_is_refused() -> None:
    header, payload, raw = sign("ES256").split(".")
    both = decode_base64url(raw)
    for longer in (
        b"\0" + both,
        both[:32] + b"\0" + both[32:],
        b"\0" + both[:32] + b"\0" + both[32:],
    ):
        refused(f"{header}.{payload}.{encode(longer)}", keys("ES256"))


def test_secret_is_compared_whole() -> None:
    header, payload, mac = sign("HS256").split(".")
    for wrong in (mac[:-1], mac[:20], "", signature("HS256", f"{header}.{payload}", SECRET + b"x")):
        refused(f"{header}.{payload}.{wrong}", keys("HS256"))


def test_refusal_does_not_contain_the_token() -> None:
    message = refused(sign("EdDSA", header='{"alg":"secret-words"}'), keys("EdDSA"))
    assert "secret-words" not in message
    assert "secret" not in refused("secret.secret.secret", keys("EdDSA"))


# Any bytes

pieces = st.one_of(
    st.text(max_size=50),
    st.binary(max_size=50).map(encode),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), st.text(max_size=5)).map(
        lambda header: encode(json.dumps(header).encode())
    ),
)


@given(st.one_of(st.text(), st.lists(pieces, max_size=5).map(".".join)))
def test_any_text_is_refused(text: str) -> None:
    refused(text, keys("EdDSA"))


@given(st.binary())
def test_any_bytes_are_refused(data: bytes) -> None:
    refused(data, keys("EdDSA"))


@given(st.data())
def test_mutilated_token_is_read_as_it_was_or_refused(data: st.DataObject) -> None:
    token = sign("EdDSA", b"payload")
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    changed = token[:start] + data.draw(st.text(max_size=5)) + token[end:]
    try:
        read = read_jws(changed, keys("EdDSA"))
    except InvalidToken:
        return
    assert (changed, read) == (token, ({"alg": "EdDSA"}, b"payload"))


# Which key a token names


def test_key_id_of_a_token_is_returned() -> None:
    assert read_key_id(sign("EdDSA", kid="a key")) == "a key"
    assert read_key_id(sign("EdDSA")) is None


@pytest.mark.parametrize(
    "header",
    ['{"kid":5}', '{"kid":null}', '{"kid":"a","kid":"b"}', '["kid"]', "", "{" * 5000, "NaN"],
)
def test_key_id_of_a_malformed_header_is_none(header: str) -> None:
    assert read_key_id(f"{encode(header.encode())}.e30.AA") is None


@given(st.one_of(st.text(), st.binary().map(encode)))
def test_key_id_of_any_text_is_text_or_none(text: str) -> None:
    assert read_key_id(text) is None or isinstance(read_key_id(text), str)
