import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.container import Container
from entrypoints.settings import PREFIX, Settings, SettingsError, load_settings

SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def settings_of(**variables: str) -> Settings:
    with patch.dict(os.environ, {PREFIX + name: value for name, value in variables.items()}):
        return load_settings({"database_url": Container.flaws_in()["database_url"]})


def problems_of(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        settings_of(**variables)
    return refusal.value.problems


def test_nothing_needs_to_be_set() -> None:
    settings = settings_of()
    assert settings.storage_url == "sqlite:///.ordergate/ordergate.db"
    assert settings.signing_keys_file == Path(".ordergate/signing-keys.json")
    assert settings.access_token_seconds == 900
    assert settings.bcrypt_cost == 12
    assert settings.cors_origins == ()
    assert settings.throttle_url is None
    assert settings.trusted_proxies == ()


def test_home_moves_what_is_kept_in_it() -> None:
    settings = settings_of(HOME="/srv/orders")
    assert settings.storage_url == "sqlite:////srv/orders/ordergate.db"
    assert settings.signing_keys_file == Path("/srv/orders/signing-keys.json")


@pytest.mark.parametrize("url", ["sqlite:///data/o.db", "sqlite:////srv/o.db"])
def test_a_database_url_names_a_file(url: str) -> None:
    settings = settings_of(DATABASE_URL=url)
    assert settings.storage_url == url
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///o.db?mode=ro",
    ],
)
def test_a_database_url_that_names_no_file_is_refused(url: str) -> None:
    assert problems_of(DATABASE_URL=url) == [
        "ORDERGATE_DATABASE_URL: must name a file, as in sqlite:///folder/orders.db"
    ]


def test_a_variable_set_to_nothing_is_not_set() -> None:
    assert settings_of(LOG_LEVEL="", BCRYPT_COST="") == settings_of()


def test_an_empty_database_url_is_a_mistake() -> None:
    assert problems_of(DATABASE_URL="") == [
        "ORDERGATE_DATABASE_URL is empty; unset it for the database in HOME"
    ]


def test_all_wrong_settings_are_named_together() -> None:
    problems = problems_of(
        BCRYPT_COST="3",
        HASHING_THREADS="many",
        SIGNING_SECRET="short",
        ISUER="x",
        LEEWAY_SECONDS="-1",
    )
    assert [problem.split(":")[0].split(" ")[0] for problem in problems] == [
        "ORDERGATE_ISUER",
        "ORDERGATE_SIGNING_SECRET",
        "ORDERGATE_LEEWAY_SECONDS",
        "ORDERGATE_BCRYPT_COST",
        "ORDERGATE_HASHING_THREADS",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DATABSE_URL", "; did you mean ORDERGATE_DATABASE_URL?"),
        ("TOKEN_SECONDS", "; did you mean ORDERGATE_ACCESS_TOKEN_SECONDS?"),
        ("ZZZZZZZZ", ""),
    ],
)
def test_an_unknown_setting_is_an_error_that_suggests_the_nearest(name: str, hint: str) -> None:
    assert problems_of(**{name: "x"}) == [f"ORDERGATE_{name} is not a setting{hint}"]


@pytest.mark.parametrize("name", ["SIGNING_SECRET", "ISSUER", "HOME", "PASSWORD"])
def test_what_is_not_utf_8_is_refused(name: str) -> None:
    value = (b"\xff" + SECRET.encode()).decode(errors="surrogateescape")
    assert problems_of(**{name: value})[0] == f"ORDERGATE_{name} is not UTF-8"


def test_the_password_of_commands_is_no_unknown_setting() -> None:
    assert settings_of(PASSWORD="x") == settings_of()


def test_two_signing_keys_exclude_each_other() -> None:
    problems = problems_of(SIGNING_SECRET=SECRET, SIGNING_KEY_FILE="/nowhere/key.pem")
    assert problems[0] == (
        "ORDERGATE_SIGNING_KEY_FILE and ORDERGATE_SIGNING_SECRET exclude each other"
    )


@pytest.mark.parametrize("name", ["SIGNING_SECRET", "SIGNING_KEY_FILE"])
def test_who_believes_another_issuer_signs_nothing(name: str) -> None:
    value = {"SIGNING_SECRET": SECRET, "SIGNING_KEY_FILE": __file__}[name]
    assert problems_of(
        JWKS_URL="https://id.example/jwks", ISSUER="https://id.example", **{name: value}
    ) == [f"ORDERGATE_{name} and ORDERGATE_JWKS_URL exclude each other"]


def test_another_issuer_has_to_be_named() -> None:
    assert problems_of(JWKS_URL="https://id.example/jwks") == [
        "ORDERGATE_JWKS_URL needs ORDERGATE_ISSUER, the `iss` of its issuer's tokens"
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example/realms/shop/protocol/openid-connect/certs",
        "https://id.example:8443/jwks?v=2",
        "https://[2001:db8::1]/jwks",
        "http://localhost:8080/jwks",
        "http://127.0.0.1:8080/jwks",
        "http://[::1]/jwks",
    ],
)
def test_with_a_jwks_url_nobody_signs_in_here(url: str) -> None:
    settings = settings_of(JWKS_URL=url, ISSUER="https://id.example/")
    assert (settings.jwks_url, settings.issuer) == (url, "https://id.example/")
    assert not settings.signs_in
    assert settings_of().signs_in


@pytest.mark.parametrize(
    "url",
    [
        "id.example/jwks",
        "https://id.example",
        "https:///jwks",
        "https://me:pw@id.example/jwks",
        "https://id.example/a b",
        "https://id.example/jwks#keys",
        "https://id.example:0/jwks",
        "https://id.example:65536/jwks",
        "https://[:::]/jwks",
        "http://id.example/jwks",
        "http://127.0.0.1.example/jwks",
        "http://localhost@id.example/jwks",
        "file:///etc/passwd",
    ],
)
def test_any_other_jwks_url_is_refused(url: str) -> None:
    (problem,) = problems_of(JWKS_URL=url, ISSUER="https://id.example")
    assert problem.startswith("ORDERGATE_JWKS_URL: must be a URL such as https://id.example/jwks;")


def test_the_type_of_jwts_is_one_of_two() -> None:
    assert problems_of(JWT_TYPE="id+jwt") == ["ORDERGATE_JWT_TYPE: must be one of at+jwt, jwt"]


def test_a_key_file_that_is_not_there_is_named_at_once() -> None:
    (problem,) = problems_of(SIGNING_KEY_FILE="/nowhere/key.pem")
    assert problem.startswith("ORDERGATE_SIGNING_KEY_FILE: must name a file that exists")


@pytest.mark.parametrize("name", ["a b", "a\nb", "é", "x" * 256])
def test_an_audience_is_a_short_plain_name(name: str) -> None:
    expected = "must be 1 to 255 printable ASCII characters, no spaces"
    assert problems_of(AUDIENCE=name) == [f"ORDERGATE_AUDIENCE: {expected}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "https://orders.example",
        "https://example.org/api/orders-1",
        "http://[::1]:8000",
        "https://orders.example/",
    ],
)
def test_an_issuer_is_a_url(url: str) -> None:
    assert settings_of(ISSUER=url).issuer == url


@pytest.mark.parametrize(
    "url",
    [
        "ordergate",
        "ftp://orders.example",
        "https://",
        "https://orders.example//a",
        "https://orders.example?a=b",
        "https://orders.example#a",
        "https://me@orders.example",
        "https://orders.example/a b",
        "https://orders.example\n",
        "https://orders.example/" + "x" * 255,
    ],
)
def test_any_other_issuer_is_refused(url: str) -> None:
    (problem,) = problems_of(ISSUER=url)
    assert problem == (
        "ORDERGATE_ISSUER: must be a URL such as https://orders.example: http "
        "or https, at most 255 characters, no query and no fragment"
    )


def test_origins_are_separated_by_commas() -> None:
    assert settings_of(CORS_ORIGINS="https://a.example, http://localhost:3000").cors_origins == (
        "https://a.example",
        "http://localhost:3000",
    )


@pytest.mark.parametrize(
    "origin",
    [
        "https://",
        "https://a b",
        "https://A.example",
        "https://u:p@a.example",
        "*",
        "a.example",
        "https://a.example/",
        "ftp://a.example",
        "null",
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    (problem,) = problems_of(CORS_ORIGINS=origin)
    assert problem.startswith("ORDERGATE_CORS_ORIGINS: must be origins")


THROTTLE_URLS = [
    "redis://localhost",
    "redis://localhost:6379/0",
    "rediss://name:pass%23word@redis.example:6380/15",
    "valkey://:password@[::1]:6379/",
    "valkeys://10.0.0.1",
]


@pytest.mark.parametrize("url", THROTTLE_URLS)
def test_a_throttle_url_names_a_redis(url: str) -> None:
    settings = settings_of(THROTTLE_URL=url)
    assert settings.throttle_url is not None
    assert settings.throttle_url.get_secret_value() == url
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "memory://",
        "http://localhost",
        "redis://",
        "redis://:hunter2@",
        "redis://:hunter2/x@localhost",
        "redis://:hunter2#x@localhost",
        "redis://localhost:hunter2",
        "redis://localhost:0",
        "redis://localhost:65536",
        "redis://localhost/one",
        "redis://localhost/0?socket_timeout=hunter2",
        "redis://[hunter2",
    ],
)
def test_any_other_throttle_url_is_refused_and_not_repeated(url: str) -> None:
    expected = "must look like rediss://name:password@host:6379/0, with other characters as %23"
    assert problems_of(THROTTLE_URL=url) == [f"ORDERGATE_THROTTLE_URL: {expected}"]


def test_proxies_are_separated_by_commas() -> None:
    assert settings_of(TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1,2001:DB8::/32").trusted_proxies == (
        "10.0.0.0/8",
        "192.0.2.1/32",
        "2001:db8::/32",
    )


@pytest.mark.parametrize(
    "proxies", ["*", "proxy.example", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.1,"]
)
def test_what_is_no_proxy_is_refused(proxies: str) -> None:
    (problem,) = problems_of(TRUSTED_PROXIES=proxies)
    assert problem.startswith("ORDERGATE_TRUSTED_PROXIES: must be IP addresses or networks")


def test_secrets_are_in_no_repr_and_no_error() -> None:
    assert SECRET not in repr(settings_of(SIGNING_SECRET=SECRET))
    assert SECRET not in str(settings_of(SIGNING_SECRET=SECRET))
    problems = problems_of(SIGNING_SECRET="hunter2", DATABASE_URL="mysql://me:hunter2@h/d")
    assert "hunter2" not in str(problems)


MARK = "7f3c9a"  # the rest of a value may happen to be a word of the message
environment_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(
    name=st.sampled_from(sorted(Settings.model_fields)),
    value=environment_text,
)
def test_any_value_is_a_setting_or_an_error_that_does_not_repeat_it(name: str, value: str) -> None:
    try:
        settings_of(**{name.upper(): value + MARK})
    except SettingsError as error:
        assert all(problem.startswith("ORDERGATE_") for problem in error.problems)
        assert MARK not in str(error)


@given(name=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=20))
def test_any_other_name_is_refused(name: str) -> None:
    if name.lower() not in {*Settings.model_fields, "password"}:
        assert problems_of(**{name: "x"})[0].startswith(f"ORDERGATE_{name} is not a setting")
