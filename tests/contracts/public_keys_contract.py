"""Public keys contract."""

import pytest

from ordergate.adapters.tokens.keys.jwk import KeySet
from ordergate.application.ports.tokens import PublicKeys

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
PUBLIC = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}


class PublicKeysContract:
    """`PublicKeys`, with at least one key pair."""

    @pytest.fixture
    def keys(self) -> PublicKeys:
        raise NotImplementedError

    def test_published_keys_verify_tokens(self, keys: PublicKeys) -> None:
        verifying = KeySet.from_jwks(keys.jwks())
        assert verifying.keys
        assert verifying.refused == ()
        assert [key.kid for key in verifying.keys] == [key["kid"] for key in keys.jwks()["keys"]]

    def test_published_key_names_its_use_and_algorithm(self, keys: PublicKeys) -> None:
        for key in keys.jwks()["keys"]:
            assert {"kid", "alg", "use"} <= key.keys()
            assert key["use"] == "sig"

    def test_private_members_are_not_published(self, keys: PublicKeys) -> None:
        for key in keys.jwks()["keys"]:
            assert key.keys() <= PUBLIC
            assert PRIVATE.isdisjoint(key)
