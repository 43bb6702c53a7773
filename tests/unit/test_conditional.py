import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.order import MAX_VERSION
from entrypoints.http.conditional import EntityTags, ExpectedVersions, entity_tag, entity_tags
from entrypoints.http.problems import ProblemError

versions = st.integers(1, MAX_VERSION)
opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"\x7f'))
tags = st.builds("{}{}".format, st.sampled_from(["", "W/"]), opaque.map('"{}"'.format))


def read(*values: str) -> set[str]:
    return set(entity_tags("If-Match", list(values)))


@pytest.mark.parametrize(
    ("values", "read_as"),
    [
        (['"1"'], {'"1"'}),
        (['"1", W/"2"'], {'"1"', 'W/"2"'}),
        (['"1"', '"2"'], {'"1"', '"2"'}),
        ([' \t"1"\t,, "a,b" , '], {'"1"', '"a,b"'}),
        (['""'], {'""'}),
        (['"\\"'], {'"\\"'}),
        (["*"], {"*"}),
        ([" * "], {"*"}),
    ],
    ids=str,
)
def test_a_list_of_tags_is_read_as_rfc_9110_says(values: list[str], read_as: set[str]) -> None:
    assert read(*values) == read_as


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ",", "1", '"1', '1"', "'1'", '"1" "2"', '"1"2', 'w/"1"', 'W / "1"', "W/1", "W/",
        '*, "1"', '"1", *', "**", '"a b"', '"\x7f"', '"\n"', '"1"\n', '"\u0100"', "W/*",
    ],
)  # fmt: skip
def test_anything_else_is_told_what_it_should_be(text: str) -> None:
    with pytest.raises(ProblemError) as error:
        read(text)
    assert error.value.problem.status == 400
    assert error.value.problem.detail == (
        'The header If-Match is * or a list of entity tags such as "7".'
    )


def test_a_long_header_is_read_in_no_time() -> None:
    assert read('"",' * 20_000) == {'""'}
    for long in (" " * 60_000 + "x", "," * 60_000, '"' * 60_000, 'W/"' * 20_000):
        with pytest.raises(ProblemError):
            read(long)


@given(st.lists(tags, min_size=1))
def test_any_tags_are_read_as_they_are_written(some: list[str]) -> None:
    assert read(", ".join(some)) == read(*some) == set(some)


@given(st.lists(st.text(), min_size=1))
def test_any_text_is_tags_or_refused_and_nothing_else_happens(values: list[str]) -> None:
    try:
        assert read(*values)
    except ProblemError as error:
        assert error.problem.status == 400


@given(versions, versions)
def test_a_weak_tag_matches_where_one_reads_and_never_where_one_writes(
    version: int, other: int
) -> None:
    tag = entity_tag(version)
    assert EntityTags({tag}).match(version)
    assert EntityTags({f"W/{tag}"}).match(version)
    assert EntityTags({"*"}).match(version)
    assert EntityTags({tag}).match(other) == (version == other)
    assert version in ExpectedVersions({tag, '"x"'})
    assert version not in ExpectedVersions({f"W/{tag}"})
    assert (other in ExpectedVersions({tag})) == (version == other)


def test_a_version_has_one_spelling() -> None:
    assert 1 not in ExpectedVersions({'"01"', '"1 "', '"+1"', '"1.0"', '""'})


@pytest.mark.parametrize(
    "tag", ['"7-gzip"', '"7-br"', '"7-zstd"', '"7-deflate"', '"7--gzip"', '"7;gzip"', '"7-br-gzip"']
)
def test_a_tag_matches_when_a_proxy_added_its_coding(tag: str) -> None:
    assert 7 in ExpectedVersions({tag})
    assert 8 not in ExpectedVersions({tag})
    assert 7 not in ExpectedVersions({f"W/{tag}"})
    assert EntityTags({tag}).match(7)
    assert EntityTags({f"W/{tag}"}).match(7)
    assert not EntityTags({tag}).match(8)


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
    ],
)
def test_a_tag_with_another_suffix_matches_nothing(tag: str) -> None:
    assert 7 not in ExpectedVersions({tag})
    assert not EntityTags({tag}).match(7)


def test_a_tag_of_many_suffixes_is_compared_in_linear_time() -> None:
    assert 7 not in ExpectedVersions({f'"7{"-gzip" * 12_000}x"', f'"{"7" * 60_000}-gzip"'})
