import json
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.tokens.jws import MAX_TOKEN_LENGTH
from ordergate.adapters.tokens.jwt_token_issuer import JwtTokenIssuer
from ordergate.adapters.tokens.keys.encoding import decode_base64url
from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.adapters.tokens.keys.key_source import KeySource, StaticKeys
from ordergate.adapters.tokens.keys.signing_key import SigningKey, new_private_key
from ordergate.adapters.tokens.keys.weaknesses import MAX_MODULUS_BITS
from ordergate.application.errors import InvalidToken, SigningKeyError
from ordergate.application.ports.tokens import Caller, Jwks, PublicKeys, TokenIssuer
from ordergate.domain.scope import Scope
from ordergate.domain.session import SessionId
from ordergate.domain.signing_keys import KeyId, KeyRecord, KeyStatus
from ordergate.domain.user import MAX_ID, UserId
from tests.contracts.public_keys_contract import PublicKeysContract
from tests.contracts.tokens_contract import TokenIssuerContract
from tests.support.doubles import SettableClock
from tests.support.tokens.access_tokens import CLAIMS, NOW, token
from tests.support.tokens.jose import ALGORITHMS, SECRET, private_key, sign

CALLER = Caller(UserId(42), "shop", frozenset({Scope.ORDERS_READ}))


def issuer(
    key: SigningKey, clock: SettableClock | None = None, leeway: float = 0, **more: Any
) -> JwtTokenIssuer:
    options: dict[str, Any] = {
        "keys": StaticKeys(key),
        "issuer": "https://orders.example",
        "audience": "orders",
    } | more
    return JwtTokenIssuer(
        clock=clock or SettableClock(),
        lifetime=timedelta(seconds=900),
        leeway=timedelta(seconds=leeway),
        **options,
    )


@cache
def signing_key(algorithm: str) -> SigningKey:
    if algorithm == "HS256":
        return SigningKey.from_secret(SECRET.decode())
    from cryptography.hazmat.primitives import serialization

    pem = private_key(algorithm).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SigningKey.from_pem(pem)


async def refused(text: str, tokens: TokenIssuer | None = None) -> str:
    with pytest.raises(InvalidToken) as refusal:
        await (tokens or issuer(signing_key("HS256"))).verify(text)
    return str(refusal.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestJwtTokenIssuer(TokenIssuerContract):
    @pytest.fixture
    def tokens(self, clock: SettableClock, algorithm: str) -> TokenIssuer:
        return issuer(signing_key(algorithm), clock)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
class TestStaticKeys(PublicKeysContract):
    @pytest.fixture
    def keys(self, algorithm: str) -> PublicKeys:
        return StaticKeys(signing_key(algorithm))


def test_secret_is_not_published_and_its_id_is_random() -> None:
    keys = StaticKeys(signing_key("HS256"))
    assert keys.jwks() == {"keys": []}
    assert keys.signing().kid == "secret"


def test_static_key_is_listed_and_cannot_be_changed() -> None:
    keys = StaticKeys(signing_key("HS256"), holder="THE_SETTING")
    record = KeyRecord(KeyId("secret"), "HS256", KeyStatus.SIGNING, None)
    assert list(keys.list_keys()) == [record]
    for refuse in (
        lambda: keys.make_key("EdDSA"),
        lambda: keys.import_key(Path("key.pem")),
        lambda: keys.change(lambda ring: ring, lambda _: None),
    ):
        with pytest.raises(SigningKeyError, match="THE_SETTING holds the one key; unset it"):
            refuse()


class ChangingKeys(KeySource):
    """Keys of which the last becomes known only on request."""

    def __init__(self, *keys: SigningKey) -> None:
        self._sets = [KeySet.from_keys(key.verifying() for key in keys[:n]) for n in (1, len(keys))]
        self._signing = keys[0]
        self.looks = 0

    def signing(self) -> SigningKey:
        return self._signing

    def verifying(self, *, newest: bool = False) -> KeySet:
        self.looks += newest
        return self._sets[min(self.looks, 1)]

    def jwks(self) -> Jwks:
        return {"keys": []}


async def test_token_of_a_new_key_is_read() -> None:
    old, new = SigningKey.new("EdDSA"), SigningKey.new("EdDSA")
    keys = ChangingKeys(old, new)
    tokens = issuer(old, keys=keys)
    assert await tokens.verify(issuer(old).issue(CALLER).value) == CALLER
    assert keys.looks == 0
    assert await tokens.verify(issuer(new).issue(CALLER).value) == CALLER
    assert keys.looks == 1
    await refused(issuer(SigningKey.new("EdDSA")).issue(CALLER).value, tokens)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_token_is_written_as_rfc_9068_says(algorithm: str) -> None:
    key = signing_key(algorithm)
    parts = issuer(key).issue(CALLER).value.split(".")
    header, claims = (json.loads(decode_base64url(part)) for part in parts[:2])
    assert header == {"typ": "at+jwt", "alg": algorithm, "kid": key.kid}
    assert claims == {**CLAIMS, "jti": claims["jti"]}
    assert len(claims["jti"]) == 32


def test_token_without_scopes_has_no_scope_claim() -> None:
    value = issuer(signing_key("ES256")).issue(Caller(UserId(42), "shop")).value
    assert "scope" not in json.loads(decode_base64url(value.split(".")[1]))


async def test_valid_claims_are_accepted() -> None:
    assert await issuer(signing_key("HS256")).verify(token()) == CALLER


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "client_id", "jti"])
@pytest.mark.parametrize("value", [..., None, "", 0, 42, True, [], {}])
async def test_text_claims_are_required_and_typed(claim: str, value: Any) -> None:
    assert claim in await refused(token(**{claim: value}))


@pytest.mark.parametrize("claim", ["iat", "exp"])
@pytest.mark.parametrize("value", [..., None, "", "5", str(NOW), True, [], {}, 10**400])
async def test_time_claims_are_required_and_typed(claim: str, value: Any) -> None:
    assert claim in await refused(token(**{claim: value}))


@pytest.mark.parametrize(
    "typ", [..., None, "", "JWT", "jwt", "id+jwt", "at+jwt2", 5, ["at+jwt"], "application/jwt"]
)
async def test_token_of_another_type_is_refused(typ: object) -> None:
    assert await refused(token(typ=typ)) == "typ is not that of an access token of this issuer"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_type_is_read_in_any_case_and_with_its_prefix(typ: str) -> None:
    assert await issuer(signing_key("HS256")).verify(token(typ=typ)) == CALLER


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://orders.example/"},
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"aud": []},
        {"aud": ["other"]},
        {"aud": [["orders"]]},
        {"aud": {"orders": 1}},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": "042"},
        {"sub": "4 2"},
        {"sub": "٤٢"},
        {"sub": "42\n"},
        {"sub": str(MAX_ID + 1)},
        {"sub": "9" * 500},
        {"exp": NOW},
        {"exp": str(NOW + 900)},
        {"exp": -(10**400)},
        {"iat": NOW + 1},
        {"nbf": NOW + 1},
        {"nbf": "now"},
    ],
    ids=str,
)
async def test_token_is_refused_when_its_time_issuer_or_audience_is_wrong(
    claims: dict[str, Any],
) -> None:
    await refused(token(**claims))


@pytest.mark.parametrize(
    "claims",
    [{"aud": ["other", "orders"]}, {"nbf": NOW}, {"exp": NOW + 0.5}, {"more": [1, {}]}],
    ids=str,
)
async def test_additional_claims_are_accepted(claims: dict[str, Any]) -> None:
    assert await issuer(signing_key("HS256")).verify(token(**claims)) == CALLER


async def test_leeway_accepts_clocks_that_differ() -> None:
    late, early = token(exp=NOW - 4), token(iat=NOW + 5, nbf=NOW + 5)
    lenient = issuer(signing_key("HS256"), leeway=5)
    assert await lenient.verify(late) == await lenient.verify(early) == CALLER
    await refused(token(exp=NOW - 5), lenient)
    await refused(token(iat=NOW + 6), lenient)
    await refused(token(nbf=NOW + 6), lenient)
    await refused(late)
    await refused(early)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b"\xff", b'{"sub":"42","sub":"1"}', b"[" * 5000, b'{"exp":NaN}'],
    ids=lambda payload: str(payload[:20]),
)
async def test_claims_require_a_strict_json_object(payload: bytes) -> None:
    assert await refused(sign("HS256", payload, typ="at+jwt")) == "the claims are not a JSON object"


async def test_claim_named_twice_is_refused_whichever_comes_first() -> None:
    good = json.dumps(CLAIMS)
    for sub in ("42", "1"):
        await refused(sign("HS256", f'{good[:-1]},"sub":"{sub}"}}'.encode(), typ="at+jwt"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_token_of_another_key_is_refused(algorithm: str) -> None:
    ours = issuer(signing_key(algorithm))
    if algorithm == "HS256":
        other = SigningKey.from_secret("another secret of more than 32 bytes")
    else:
        our_key = signing_key(algorithm)
        other = replace(our_key, key=new_private_key(our_key.algorithm))
    await refused(issuer(other).issue(CALLER).value, ours)


async def test_token_of_another_service_with_the_same_key_is_refused() -> None:
    key = signing_key("EdDSA")
    ours = issuer(key)
    await refused(issuer(key, issuer="https://other.example").issue(CALLER).value, ours)
    await refused(issuer(key, audience="others").issue(CALLER).value, ours)


@given(
    st.dictionaries(
        st.sampled_from(sorted(CLAIMS)),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
async def test_any_claims_are_a_caller_or_refused(changed: dict[str, Any]) -> None:
    try:
        caller = await issuer(signing_key("HS256")).verify(token(**changed))
    except InvalidToken:
        return
    assert 1 <= caller.id <= MAX_ID


async def test_longest_names_and_the_largest_key_make_a_token_that_is_still_read() -> None:
    name = '"' * 255  # written with a backslash each
    tokens = issuer(signing_key("RS256"), issuer=name, audience=name)
    value = tokens.issue(Caller(UserId(MAX_ID), name)).value
    assert await tokens.verify(value) == Caller(UserId(MAX_ID), name)
    longer_signature = (MAX_MODULUS_BITS - 2048) // 6
    assert len(value) + longer_signature < MAX_TOKEN_LENGTH


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (..., set()),
        ("", set()),
        ("orders:read", {Scope.ORDERS_READ}),
        ("account  openid orders:read ", {Scope.ORDERS_READ, Scope.ACCOUNT, "openid"}),
    ],
)
async def test_caller_has_every_scope_of_the_token(scope: object, words: set[str]) -> None:
    caller = await issuer(signing_key("HS256")).verify(token(scope=scope))
    assert caller.scope == words


async def test_caller_has_the_claims_of_the_token() -> None:
    tokens = issuer(signing_key("HS256"))
    value = token(roles=["editor"], tenant={"id": 7})
    claims = (await tokens.verify(value)).claims
    assert (claims["sub"], claims["roles"], claims["tenant"]) == ("42", ["editor"], {"id": 7})
    assert claims.get("groups") is None
    assert {"iss", "aud", "exp", "roles"} < set(claims)
    assert len(claims) == len(dict(claims))


async def test_claims_cannot_be_changed_for_other_requests() -> None:
    tokens = issuer(signing_key("HS256"))
    value = token(roles=["editor"])
    claims = (await tokens.verify(value)).claims
    assert not isinstance(claims, MutableMapping)
    roles = claims["roles"]
    assert isinstance(roles, list)
    roles.append("admin")
    assert (await tokens.verify(value)).claims["roles"] == ["editor"]


async def test_repr_of_a_caller_hides_the_claims() -> None:
    caller = await issuer(signing_key("HS256")).verify(token(email="alice@example.org"))
    assert "alice" not in repr(caller)
    assert "alice" not in repr(caller.claims)


@pytest.mark.parametrize(
    "claims", [{"scope": ["account"]}, {"scope": None}, {"sid": ""}, {"sid": 7}, {"sid": "x"}]
)
async def test_scope_and_a_session_are_text(claims: dict[str, Any]) -> None:
    assert next(iter(claims)) in await refused(token(**claims))


async def test_token_names_its_session() -> None:
    tokens = issuer(signing_key("EdDSA"))
    caller = Caller(UserId(1), "c", session=SessionId("0123456789abcdef" * 2))
    assert await tokens.verify(tokens.issue(caller).value) == caller


async def test_token_of_a_longer_lifetime_is_accepted_no_longer_than_ours() -> None:
    await refused(token(iat=NOW - 900, exp=NOW + 9000))
    assert await issuer(signing_key("HS256")).verify(token(iat=NOW - 899, exp=NOW + 9000)) == CALLER
