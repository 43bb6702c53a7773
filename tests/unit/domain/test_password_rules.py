import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.adapters.passwords.common_passwords import CommonPasswords
from ordergate.domain.errors import InvalidPassword, WeakPassword
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.user import Password, Username

ALICE = Username("alice")
RULES = PasswordRules(min_length=15, common={"password", "iloveyousomuch1!"})
LAX = PasswordRules(min_length=8, common=CommonPasswords())


def refused(password: str, rules: PasswordRules = RULES, username: Username = ALICE) -> str:
    with pytest.raises(WeakPassword) as refusal:
        rules.check(Password(password), username)
    return str(refusal.value)


@pytest.mark.parametrize(
    "password",
    [
        "a pot of tea at four",
        "correct horse battery staple",
        "               15 spaces and more",
        "aaaaaaaaaaaaaab and the rest",
        "x" * 7 + "y" * 8 + " and much more" * 250,
        "пятнадцать букв",
        "🫖🍵🥄🍋🍯🫖🍵🥄🫖🫖🍵🍋🍵🫖🍵",
        "alice has 15 cups",
        "123456789012346",
    ],
)
def test_long_password_of_any_composition_may_be_chosen(password: str) -> None:
    RULES.check(Password(password), ALICE)


@pytest.mark.parametrize("length", [1, 8, 14])
def test_refusal_of_a_short_password_says_how_long_it_must_be(length: int) -> None:
    assert refused("aB3$xyz ,.-#+<>"[:length]) == "A password must have at least 15 characters."


@pytest.mark.parametrize("length", [15, 64, 4096])
def test_length_alone_is_enough(length: int) -> None:
    RULES.check(Password(("tea at four, " * 400)[: length - 1] + "!"), ALICE)


@pytest.mark.parametrize(
    "password",
    ["iLoveYouSoMuch1!", "passwordpassword", "PassWordPassWordPassWord", "password" * 9 + "pas"],
)
def test_common_password_is_refused_however_often_it_is_repeated(password: str) -> None:
    assert "most common" in refused(password)


@pytest.mark.parametrize("password", ["password", "iloveyou", "1q2w3e4r", "QWERTY123", "starwars"])
def test_shipped_list_contains_the_most_common_passwords(password: str) -> None:
    assert "most common" in refused(password, LAX)


@pytest.mark.parametrize(
    "password",
    [
        "a" * 15,
        "abcabcabcabcabcab",
        "0123456789012345",
        "abcdefghijklmnop",
        "ponmlkjihgfedcba",
        "9876543210987654",
        "aaaaaaaaaaaaaab",
        "abababababbbaba",
    ],
)
def test_pattern_password_is_refused(password: str) -> None:
    assert "repeats or counts" in refused(password)


@pytest.mark.parametrize(
    "password",
    [
        "alice, Alice: 1!",
        "ALICE12alice345",
        "Ordergate123456",
        "ordergateordergate1",
        "Password1234567",
        "123!password456",
        "password0123456789",
        "password" + "\u200b" * 7,
    ],
)
def test_password_of_little_more_than_a_name_is_refused(password: str) -> None:
    assert "little more than" in refused(password)


def test_short_name_may_be_part_of_any_word() -> None:
    RULES.check(Password("b a d c b e f b g b"), Username("b"))


@given(st.text(min_size=1))
def test_any_password_is_accepted_or_refused_with_a_reason(text: str) -> None:
    try:
        password = Password.new(text)
    except InvalidPassword:
        return
    try:
        RULES.check(password, ALICE)
    except WeakPassword as refusal:
        assert len(text) < 8 or text not in str(refusal)
