from typing import Any

import pytest

from ordergate.domain.scope import (
    BUILT_IN_SCOPES,
    MAX_SCOPES_LENGTH,
    InvalidScopeDeclaration,
    add_scopes,
    list_built_in_scopes,
    require_short_scopes,
)


def test_declared_scopes_follow_the_built_in_ones() -> None:
    declared = {"notes:read": "Read your notes", "https://api.example/notes.write": "Write notes"}
    known = add_scopes(declared)
    assert known == {**BUILT_IN_SCOPES, **declared}
    assert list(known)[: len(BUILT_IN_SCOPES)] == list(BUILT_IN_SCOPES)


@pytest.mark.parametrize(
    ("name", "description", "reason"),
    [
        ("", "Read", "printable ASCII"),
        ("notes read", "Read", "no space"),
        ('notes"', "Read", "quotation mark"),
        ("notes\\", "Read", "backslash"),
        ("nötes", "Read", "printable ASCII"),
        ("account", "Read", "the scope account exists already; choose another name"),
        ("notes:read", " ", "the scope notes:read needs a description"),
        ("notes:read", None, "the scope notes:read needs a description"),
        (1, "Read", "the scope 1 must be text"),
    ],
)
def test_invalid_declaration_is_refused_with_the_reason(
    name: Any, description: Any, reason: str
) -> None:
    with pytest.raises(InvalidScopeDeclaration, match=reason):
        add_scopes({name: description})


@pytest.mark.parametrize("declared", [["notes:read"], "notes:read", {"notes:read"}, None])
def test_declaration_without_descriptions_is_refused(declared: Any) -> None:
    with pytest.raises(InvalidScopeDeclaration, match="names with descriptions, as in"):
        add_scopes(declared)


def test_scopes_of_orders_are_free_without_their_routes() -> None:
    without = list_built_in_scopes(orders=False)
    assert without == {"account": BUILT_IN_SCOPES["account"]}
    assert list_built_in_scopes(orders=True) == BUILT_IN_SCOPES
    own = {"orders:read": "Read the orders of this shop"}
    assert add_scopes(own, built_in=without) == {**without, **own}


def test_scopes_of_a_session_have_a_maximum_length() -> None:
    require_short_scopes(["a" * 100, "b" * (MAX_SCOPES_LENGTH - 101)])
    with pytest.raises(InvalidScopeDeclaration, match="more than 255 characters"):
        require_short_scopes(["a" * 100, "b" * (MAX_SCOPES_LENGTH - 100)])
