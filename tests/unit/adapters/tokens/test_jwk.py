import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.tokens.jws import read_jws
from ordergate.adapters.tokens.keys.jwk import MAX_ENTRIES, MAX_USABLE_KEYS, InvalidKeySet, KeySet
from ordergate.adapters.tokens.keys.verifying_key import VerifyingKey
from ordergate.application.errors import InvalidToken
from tests.support.tokens.jose import encode, private_key, public_jwk, sign, to_jwk

ANOTHER_SECRET = to_jwk(b"another secret of more than thirty-two bytes")
OTHER_X = public_jwk("ES256")["x"]


def read_set(*jwks: object, is_published: bool = False) -> KeySet:
    return KeySet.from_jwks({"keys": list(jwks)}, is_published=is_published)


def test_set_without_keys_verifies_nothing() -> None:
    assert read_set() == KeySet.from_keys([])


UNUSABLE: dict[str, tuple[object, str]] = {
    "for encryption": (public_jwk("RS256", use="enc", kid="one"), ", kid 'one': use is not sig"),
    "an unknown kty": ({"kty": "AKP", "kid": "one"}, ", kid 'one': kty and crv name no key that"),
    "an unknown crv": ({"kty": "EC", "crv": "secp256k1"}, ": kty and crv name no key that"),
    "a kty of another type": ({"kty": ["RSA"], "n": 5}, ": kty and crv name no key that"),
    "no member x": ({"kty": "OKP", "crv": "Ed25519"}, ": x is missing or not text"),
    "a member of another type": ({**public_jwk("RS256"), "n": 5}, ": n is missing or not text"),
    "padding": ({**public_jwk("ES256"), "x": f"{OTHER_X}="}, ": not base64url"),
    "no alg": ({**public_jwk("RS256"), "alg": None}, ": alg is not text"),
    "another alg": (public_jwk("RS256", alg="RSA-OAEP"), ": alg is not PS256 or PS384 or"),
    "a kid of another type": (public_jwk("EdDSA", kid=5), ": kid is not text"),
    "an empty kid": (public_jwk("EdDSA", kid=""), ", kid '': kid is empty"),
    "no object": (5, ": not a JSON object"),
    "a list": ([], ": not a JSON object"),
    "null": (None, ": not a JSON object"),
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("place", [0, 1])
def test_unusable_key_is_left_out_alone(name: str, place: int) -> None:
    """RFC 7517, section 5: implementations should ignore keys that they cannot use."""
    jwk, reason = UNUSABLE[name]
    jwks: list[object] = [public_jwk("EdDSA", kid="ours")]
    jwks.insert(place, jwk)
    keys = read_set(*jwks)
    assert read_jws(sign("EdDSA", kid="ours"), keys)
    assert [key.kid for key in keys.keys] == ["ours"]
    assert len(keys.refused) == 1
    assert keys.refused[0].startswith(f"key {place}{reason}")


def test_long_kid_is_quoted_in_part() -> None:
    (reason,) = read_set(public_jwk("EdDSA", kid="k" * 5000, use="enc")).refused
    assert reason == f"key 0, kid '{'k' * 64}': use is not sig"


def test_left_out_key_shares_its_kid_with_a_usable_one() -> None:
    for other in (
        public_jwk("RS256", kid="one", use="enc"),
        public_jwk("EdDSA", kid="one", use="enc"),
        {"kty": "AKP", "kid": "one"},
    ):
        keys = read_set(other, public_jwk("EdDSA", kid="one"))
        assert read_jws(sign("EdDSA", kid="one"), keys)
        assert len(keys.refused) == 1


def test_keys_of_two_kinds_share_a_kid() -> None:
    """RFC 7517, section 4.5: keys of different kinds may share a kid."""
    keys = read_set(public_jwk("EdDSA", kid="one"), public_jwk("ES256", kid="one"))
    assert keys.refused == ()
    for algorithm in ("EdDSA", "ES256"):
        assert read_jws(sign(algorithm, kid="one"), keys)


def test_keys_that_a_token_cannot_distinguish_are_left_out_alone() -> None:
    other = to_jwk(private_key("ES256"))
    keys = read_set(
        public_jwk("RS256", kid="ours"),
        public_jwk("ES256", kid="one"),
        {**other, "x": other["x"], "kid": "one", "alg": "ES256"},
        {**public_jwk("EdDSA"), "kid": "two"},
        {**to_jwk(private_key("another EdDSA")), "kid": "two"},
    )
    assert read_jws(sign("RS256", kid="ours"), keys)
    assert read_jws(sign("ES256", kid="one"), keys), "it is one key, published twice"
    with pytest.raises(InvalidToken):
        read_jws(sign("EdDSA", kid="two"), keys)
    assert keys.refused == (
        "key 2, kid 'one': the set has this key already",
        "key 3, kid 'two': another key has the same kid and alg",
        "key 4, kid 'two': another key has the same kid and alg",
    )


def test_rsa_keys_with_one_kid_are_distinguished_by_their_alg() -> None:
    keys = read_set(
        public_jwk("RS256", kid="one", alg="RS256"), public_jwk("PS256", kid="one", alg="PS256")
    )
    assert keys.refused == ()
    for algorithm in ("RS256", "PS256"):
        assert read_jws(sign(algorithm, kid="one"), keys)
    with pytest.raises(InvalidToken):
        read_jws(sign("RS512", kid="one"), keys)


def test_two_secrets_with_one_kid_verify_nothing() -> None:
    keys = read_set(public_jwk("HS256", kid="one"), {**ANOTHER_SECRET, "kid": "one"})
    assert keys.keys == ()
    with pytest.raises(InvalidToken):
        read_jws(sign("HS256", kid="one"), keys)


def test_combined_keys_have_different_kids() -> None:
    keys = [
        VerifyingKey("one", frozenset({"EdDSA"}), private_key(name).public_key())
        for name in ("EdDSA", "another EdDSA")
    ]
    with pytest.raises(InvalidKeySet, match="same kid"):
        KeySet.from_keys(keys)


def test_secret_beside_public_keys_verifies_nothing() -> None:
    keys = read_set(public_jwk("HS256", kid="a"), public_jwk("ES256", kid="b"))
    assert read_jws(sign("ES256", kid="b"), keys)
    with pytest.raises(InvalidToken):
        read_jws(sign("HS256", kid="a"), keys)
    assert keys.refused == ("key 0, kid 'a': a secret beside public keys",)
    with pytest.raises(InvalidKeySet, match="mixed"):
        KeySet.from_keys(
            [
                *read_set(public_jwk("HS256", kid="a")).keys,
                *read_set(public_jwk("ES256", kid="b")).keys,
            ]
        )


def test_secret_or_private_key_in_a_published_set_is_left_out() -> None:
    private = {**public_jwk("EdDSA"), "d": encode(private_key("EdDSA").private_bytes_raw())}
    keys = read_set(private, public_jwk("HS256"), public_jwk("ES256"), is_published=True)
    assert read_jws(sign("ES256"), keys)
    assert len(keys.keys) == 1
    assert keys.refused == tuple(
        f"key {place}: it is a private key or a secret, which is public now" for place in (0, 1)
    )


@pytest.mark.parametrize("member", ["p", "q", "dp", "dq", "qi", "oth"])
def test_key_with_any_private_member_in_a_published_set_is_left_out(member: str) -> None:
    """Each of them reveals the factors of the modulus (RFC 7518, section 6.3.2)."""
    keys = read_set(public_jwk("RS256", **{member: "AQAB"}), is_published=True)
    assert keys.keys == ()
    assert keys.refused == ("key 0: it is a private key or a secret, which is public now",)


def test_key_set_size_is_limited() -> None:
    jwks = [public_jwk("EdDSA", kid=str(i)) for i in range(MAX_USABLE_KEYS + 1)]
    keys = read_set({"kty": "AKP"}, *jwks)
    assert len(keys.keys) == MAX_USABLE_KEYS
    assert read_jws(sign("EdDSA", kid="0"), keys)
    assert (
        keys.refused[1] == f"key 33, kid '32': the set has {MAX_USABLE_KEYS} usable keys before it"
    )
    with pytest.raises(InvalidKeySet, match="more than 32"):
        KeySet.from_keys(
            [
                VerifyingKey(str(i), frozenset({"EdDSA"}), private_key("EdDSA").public_key())
                for i in range(MAX_USABLE_KEYS + 1)
            ]
        )


@pytest.mark.parametrize("jwk", [0, {}, [], public_jwk("EdDSA"), {"kty": "AKP"}], ids=range(5))
def test_set_of_too_many_entries_is_refused_unread(jwk: object) -> None:
    """Half a million entries of an issuer's answer took seconds."""
    keys = read_set(public_jwk("ES256", kid="ours"), *[jwk] * (MAX_ENTRIES - 1))
    assert read_jws(sign("ES256", kid="ours"), keys)
    with pytest.raises(InvalidKeySet, match="the set has more than 256 entries"):
        read_set(*[jwk] * (MAX_ENTRIES + 1))


def test_algorithms_can_be_limited() -> None:
    jwks = {"keys": [public_jwk("RS256", kid="rsa"), public_jwk("ES256", kid="ec")]}
    keys = KeySet.from_jwks(jwks, permitted=["PS256"])
    assert read_jws(sign("PS256", kid="rsa"), keys)
    with pytest.raises(InvalidToken):
        read_jws(sign("RS256", kid="rsa"), keys)
    assert keys.refused == ("key 1, kid 'ec': the settings permit no algorithm of this key",)


@pytest.mark.parametrize("keys", [None, "", {}, 5])
def test_document_without_a_list_of_keys_is_refused(keys: object) -> None:
    with pytest.raises(InvalidKeySet):
        KeySet.from_jwks({"keys": keys})


@pytest.mark.parametrize("document", [[], None, "x", 5])
def test_document_of_another_type_is_refused(document: object) -> None:
    with pytest.raises(InvalidKeySet, match="not a JSON object"):
        KeySet.from_jwks(document)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
members = st.sampled_from(
    ["kty", "crv", "alg", "use", "key_ops", "kid", "x", "y", "n", "e", "k", "d"]
)
likely = st.sampled_from(
    ["OKP", "EC", "RSA", "oct", "Ed25519", "P-256", "AQAB", "sig", "A" * 43, "_" * 43]
)
jwks = st.dictionaries(members, likely | json_values)


@given(jwks | st.fixed_dictionaries({"keys": st.lists(jwks, max_size=4) | json_values}))
def test_any_document_is_a_key_set_or_refused(document: dict[str, object]) -> None:
    try:
        keys = KeySet.from_jwks(document)
    except InvalidKeySet:
        return
    with pytest.raises(InvalidToken):
        read_jws(sign("EdDSA"), keys)
