import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.domain.order import MAX_VERSION
from ordergate.entrypoints.http.problems.problem import ProblemError
from ordergate.entrypoints.http.requests.conditional import EntityTags, make_entity_tag

versions = st.integers(1, MAX_VERSION)
opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"\x7f'))
tags = st.builds("{}{}".format, st.sampled_from(["", "W/"]), opaque.map('"{}"'.format))


def read(*values: str) -> EntityTags:
    return EntityTags.read("If-Match", list(values))


def names(version: int, *tags: str) -> bool:
    """Say whether one of the tags names a version where one writes."""
    return read(*tags).match(version, strongly=True)


@pytest.mark.parametrize(
    ("values", "strong", "weak"),
    [
        (['"1"'], {1}, {1}),
        (['"1", W/"2"'], {1}, {1, 2}),
        (['"1"', '"2"'], {1, 2}, {1, 2}),
        (['W/"1"', 'W/"2"'], set(), {1, 2}),
        ([' \t"1"\t,, "a,b" , '], {1}, {1}),
        (['"a,", "1"', 'W/"xW/"', '"2"'], {1, 2}, {1, 2}),
        (['""'], set(), set()),
        (['"\\"'], set(), set()),
        (["*"], {1, 2, 3}, {1, 2, 3}),
        ([" * "], {1, 2, 3}, {1, 2, 3}),
    ],
    ids=str,
)
def test_list_of_tags_is_read_as_rfc_9110_says(
    values: list[str], strong: set[int], weak: set[int]
) -> None:
    tags = read(*values)
    assert {version for version in (1, 2, 3) if tags.match(version, strongly=True)} == strong
    assert {version for version in (1, 2, 3) if tags.match(version)} == weak


@pytest.mark.parametrize(
    ("text", "are_weak"),
    [('W/"1"', True), ('W/"1", W/"a,b"', True), ('W/"1", "2"', False), ('"xW/"', False)],
)
def test_tags_are_weak_when_none_can_match_strongly(text: str, *, are_weak: bool) -> None:
    assert read(text).are_weak == are_weak


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ",", "1", '"1', '1"', "'1'", '"1" "2"', '"1"2', 'w/"1"', 'W / "1"', "W/1", "W/",
        '*, "1"', '"1", *', "**", '"a b"', '"\x7f"', '"\n"', '"1"\n', '"\u0100"', "W/*",
    ],
)  # fmt: skip
def test_malformed_header_is_reported_with_its_rule(text: str) -> None:
    with pytest.raises(ProblemError) as error:
        read(text)
    assert error.value.problem.status == 400
    assert error.value.problem.detail == (
        'The header If-Match must be * or a list of entity tags such as "7", of at most 8192'
        " characters."
    )


def test_list_has_at_most_8192_characters() -> None:
    assert read('"7",' * 2_047 + '"99"').match(99)
    for long in ('"7",' * 2_048 + '"99"', " " * 60_000 + "x", "," * 60_000, '"' * 60_000):
        with pytest.raises(ProblemError):
            read(long)


@given(st.lists(tags, min_size=1), versions)
def test_any_tags_are_read_as_they_are_written(some: list[str], version: int) -> None:
    own = make_entity_tag(version)
    for read_as in (read(", ".join(some)), read(*some)):
        assert read_as.are_weak == all(tag.startswith("W/") for tag in some)
        assert read_as.match(version, strongly=True) == (own in some)
    assert names(version, *some, own)


@given(st.lists(st.text(), min_size=1))
def test_any_text_is_tags_or_refused(values: list[str]) -> None:
    try:
        read(*values)
    except ProblemError as error:
        assert error.problem.status == 400


@given(versions, versions)
def test_weak_tag_matches_reads_alone(version: int, other: int) -> None:
    tag = make_entity_tag(version)
    assert read(tag).match(version)
    assert read(f"W/{tag}").match(version)
    assert read("*").match(version)
    assert read(tag).match(other) == (version == other)
    assert names(version, tag, '"x"')
    assert not names(version, f"W/{tag}")
    assert names(other, tag) == (version == other)


def test_version_has_one_spelling() -> None:
    assert not names(1, '"01"', '"+1"', '"1.0"', '""')


@pytest.mark.parametrize(
    "tag", ['"7-gzip"', '"7-br"', '"7-zstd"', '"7-deflate"', '"7--gzip"', '"7;gzip"', '"7-br-gzip"']
)
def test_tag_matches_when_a_proxy_added_its_coding(tag: str) -> None:
    assert names(7, tag)
    assert not names(8, tag)
    assert not names(7, f"W/{tag}")
    assert read(tag).match(7)
    assert read(f"W/{tag}").match(7)
    assert not read(tag).match(8)


@pytest.mark.parametrize(
    "tag",
    [
        '"7-"',
        '"7gzip"',
        '"7-gzip-"',
        '"-gzip"',
        '"7-8"',
        '"07-gzip"',
        '"7-x"',
        '"7---gzip"',
        '"7;"',
        '"77"',
    ],
)
def test_tag_with_another_suffix_matches_nothing(tag: str) -> None:
    assert not names(7, tag)
    assert not read(tag).match(7)


def test_tag_of_many_suffixes_is_compared_in_linear_time() -> None:
    assert not names(7, f'"7{"-gzip" * 1_200}x"', f'"{"7" * 1_500}-gzip"')
