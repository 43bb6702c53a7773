import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.requests.idempotency import MALFORMED_KEY, read_key

keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)
UUID = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def quoted(key: str) -> str:
    """Write a String as RFC 9651 says in section 4.1.6."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (f'"{UUID}"', UUID),
        (UUID, UUID),
        ('"a b, c"', "a b, c"),
        (r'"a\"b\\c"', r'a"b\c'),
        (r"a\b", r"a\b"),
        ('" "', " "),
        ("x" * 255, "x" * 255),
        (quoted('"' * 255), '"' * 255),
    ],
)
def test_key_is_a_string_or_its_bare_characters(value: str, key: str) -> None:
    assert read_key([value]) == key


def test_missing_header_is_no_key() -> None:
    assert read_key([]) is None


@pytest.mark.parametrize(
    "values",
    [
        [""], ['""'], ['"'], ['"a'], ['a"'], ['a"b'], ['"a"b'], ['"a";b=1'], ['"a", "b"'],
        ["a b"], ["a,b"], ["é"], ['"é"'], ['"\x7f"'], ['"\t"'], [r'"\a"'], ['"\\"'], ["a\n"],
        ["x" * 256], [quoted("x" * 256)], [UUID, UUID], ["a", "b"], ["", UUID], ['"' * 60_000],
    ],
)  # fmt: skip
def test_malformed_header_is_reported_with_its_rule(values: list[str]) -> None:
    with pytest.raises(ProblemError) as error:
        read_key(values)
    assert error.value.problem == MALFORMED_KEY
    assert MALFORMED_KEY.detail == (
        "The header Idempotency-Key must be sent once, as 1 to 255 printable ASCII characters in"
        ' quotes, such as "8e03978e" (RFC 9651, section 3.3.3), or without quotes if none is a'
        " space, a comma or a quote."
    )


@given(keys)
def test_both_forms_of_a_key_are_one_key(key: str) -> None:
    assert read_key([quoted(key)]) == key
    if not re.search('[ ,"]', key):
        assert read_key([key]) == key


@given(st.lists(st.text(), min_size=1))
def test_any_text_is_a_key_or_refused(values: list[str]) -> None:
    try:
        key = read_key(values)
    except ProblemError as error:
        assert error.problem == MALFORMED_KEY
    else:
        assert key is not None
        assert re.fullmatch("[ -~]{1,255}", key)
