"""The claims of verified tokens, for routes that decide by them."""

from collections.abc import Iterator, Mapping

from ordergate.adapters.tokens.keys.encoding import parse_json_object


class VerifiedClaims(Mapping[str, object]):
    """A read-only view of the payload of a verified token.

    It keeps the bytes and parses them at each access, because few routes use claims and a cached
    token is shared by many requests. A returned list or object is a copy.
    """

    __slots__ = ("_payload",)

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def __getitem__(self, name: str) -> object:
        return parse_json_object(self._payload)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(parse_json_object(self._payload))

    def __len__(self) -> int:
        return len(parse_json_object(self._payload))

    def __repr__(self) -> str:
        """Name the claims and hide their values."""
        return f"VerifiedClaims({', '.join(self)})"
