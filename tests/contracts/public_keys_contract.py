"""What every publisher of public keys does."""

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

    def test_what_is_published_is_a_set_that_verifies(self, keys: PublicKeys) -> None:
        verifying = KeySet.from_jwks(keys.jwks())
        assert verifying.keys
        assert verifying.refused == ()
        assert [key.kid for key in verifying.keys] == [key["kid"] for key in keys.jwks()["keys"]]

    def test_every_key_says_what_it_is_for(self, keys: PublicKeys) -> None:
        for key in keys.jwks()["keys"]:
            assert {"kid", "alg", "use"} <= key.keys()
            assert key["use"] == "sig"

    def test_nothing_private_is_published(self, keys: PublicKeys) -> None:
        for key in keys.jwks()["keys"]:
            assert key.keys() <= PUBLIC
            assert PRIVATE.isdisjoint(key)
