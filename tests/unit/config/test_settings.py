import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ordergate.adapters.sql.sql_storage import SqlStorage
from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.loading import (
    SettingsError,
    list_secret_names,
    load_settings,
    make_settings,
    read_given_password,
)
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.factories.databases import (
    find_database_url_error,
    make_configured_storage,
)

SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture(autouse=True)
def clear_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def load_with(**variables: str) -> Settings:
    with patch.dict(os.environ, {PREFIX + name: value for name, value in variables.items()}):
        return load_settings({"database_url": find_database_url_error})


def load_problems(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_with(**variables)
    return refusal.value.problems


def test_settings_have_defaults() -> None:
    settings = load_with()
    assert settings.storage_url == "sqlite:///.ordergate/ordergate.db"
    assert settings.signing_keys_file == Path(".ordergate/signing-keys.json")
    assert settings.access_token_seconds == 900
    assert settings.bcrypt_cost == 12
    assert settings.cors_origins == ()
    assert settings.throttle_url is None
    assert settings.trusted_proxies == ()


def test_home_moves_its_files() -> None:
    settings = load_with(HOME="/srv/orders")
    assert settings.storage_url == "sqlite:////srv/orders/ordergate.db"
    assert settings.signing_keys_file == Path("/srv/orders/signing-keys.json")


@pytest.mark.parametrize("url", ["sqlite:///data/o.db", "sqlite:////srv/o.db"])
def test_database_url_names_a_file(url: str) -> None:
    settings = load_with(DATABASE_URL=url)
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
def test_database_url_without_a_file_is_refused(url: str) -> None:
    assert load_problems(DATABASE_URL=url) == [
        "ORDERGATE_DATABASE_URL: must name a file, as in sqlite:///folder/orders.db"
    ]


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\u00a0", "\ufeff"])
@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_blank_setting_is_refused(name: str, blank: str) -> None:
    assert load_problems(**{name.upper(): blank})[0].startswith(
        f"ORDERGATE_{name.upper()} is blank; unset it for the default ("
    )


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("HOME", ".ordergate"),
        ("DATABASE_URL", "ordergate.db in HOME"),
        ("JWKS_URL", "the jwks_uri of the metadata"),
        ("THROTTLE_URL", "memory of each worker"),
        ("SIGN_UP", "true"),
        ("BCRYPT_COST", "12"),
        ("TRUSTED_PROXIES", "none"),
    ],
)
def test_blank_setting_error_names_the_default(name: str, default: str) -> None:
    assert load_problems(**{name: ""}) == [
        f"ORDERGATE_{name} is blank; unset it for the default ({default})"
    ]


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_password_is_refused(blank: str) -> None:
    assert load_problems(PASSWORD=blank)[0].startswith("ORDERGATE_PASSWORD is blank")
    with (
        patch.dict(os.environ, {"ORDERGATE_PASSWORD": blank}),
        pytest.raises(SettingsError, match="ORDERGATE_PASSWORD is blank; give it a password"),
    ):
        read_given_password()


@pytest.mark.parametrize("name", ["SIGNING_SECRET", "SIGNING_KEY_FILE", "JWKS_URL"])
def test_settings_refuse_a_blank_variable_without_load_settings(name: str) -> None:
    with patch.dict(os.environ, {PREFIX + name: ""}), pytest.raises(ValidationError):
        Settings()


MANGLED = [
    ('"{}"', "is between quotation marks (U+0022); leave them out"),
    ("'{}'", "is between quotation marks (U+0027); leave them out"),
    ("{}\r", "contains a carriage return (U+000D)"),
    ("{}\n", "contains a newline (U+000A)"),
    ("\t{}", "contains a tab (U+0009)"),
    ("{}\x1b[0m", "contains a control character (U+001B)"),
    ("{}\x85", "contains a control character (U+0085)"),
    (" {}", "begins with a space (U+0020)"),
    ("{} ", "ends with a space (U+0020)"),
    ("{}\u00a0", "ends with a no-break space (U+00A0)"),
    ("\ufeff{}", "begins with a zero width no-break space (U+FEFF)"),
]


@pytest.mark.parametrize(("mangled", "flaw"), MANGLED)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOME", "/srv/ordergate"),
        ("SIGNING_KEY_FILE", __file__),
        ("DATABASE_URL", "sqlite:////srv/orders.db"),
        ("DATABASE_URL", "postgresql://db.example/orders"),
        ("SIGNING_SECRET", SECRET),
        ("THROTTLE_URL", "redis://localhost:6379/0"),
    ],
)
def test_path_or_secret_with_a_stray_character_is_refused_and_names_it(
    name: str, value: str, mangled: str, flaw: str
) -> None:
    assert load_problems(**{name: mangled.format(value)}) == [f"ORDERGATE_{name}: {flaw}"]


@pytest.mark.parametrize(
    ("path", "flaw"),
    [
        ('"/srv/orders', "begins with a quotation mark (U+0022)"),
        ("/srv/orders'", "ends with an apostrophe (U+0027)"),
        ("~/orders", "begins with a tilde (U+007E), which only a shell replaces"),
        ("~shop/orders", "begins with a tilde (U+007E), which only a shell replaces"),
        ("$HOME/orders", "begins with a dollar sign (U+0024), which only a shell replaces"),
        ("${HOME}/orders", "begins with a dollar sign (U+0024), which only a shell replaces"),
    ],
)
def test_path_for_a_shell_is_refused(path: str, flaw: str) -> None:
    assert load_problems(HOME=path)[0].startswith(f"ORDERGATE_HOME: {flaw}")
    assert load_problems(DATABASE_URL=f"sqlite:///{path}")[0].startswith(
        f"ORDERGATE_DATABASE_URL: its path {flaw}"
    )


@pytest.mark.parametrize(
    "path", ["/srv/my orders", "/srv/bob's orders", "orders~", "a$b", "./~", "/سفارش\u200cها"]
)
def test_unusual_path_is_kept(path: str) -> None:
    assert load_with(HOME=path).home == Path(path)
    assert load_with(DATABASE_URL=f"sqlite:///{path}").storage_url == f"sqlite:///{path}"


@pytest.mark.parametrize("number", ["1_2", "+12", " 12", "12 ", "12.0", "1e1", "١٢", "１２", "0xc"])
def test_number_that_only_python_reads_is_refused(number: str) -> None:
    assert load_problems(BCRYPT_COST=number) == [
        "ORDERGATE_BCRYPT_COST: must be a whole number from 4 to 20"
    ]


@pytest.mark.parametrize("value", ["True ", "2", "maybe", "ja"])
def test_boolean_of_another_form_is_refused(value: str) -> None:
    assert load_problems(SIGN_UP=value) == ["ORDERGATE_SIGN_UP: must be true or false"]


@pytest.mark.parametrize("name", ["ordergate_home", "Ordergate_Home", "ORDERGATE_home"])
def test_setting_in_other_letters_is_refused(name: str) -> None:
    with patch.dict(os.environ, {name: "/srv", "ORDERGATE_HOME": "/srv/orders"}):
        assert load_problems() == [f"{name} is not a setting; did you mean ORDERGATE_HOME?"]


def test_other_value_than_the_choices_is_refused_with_them() -> None:
    assert load_problems(TELEMETRY="otpl") == ["ORDERGATE_TELEMETRY: must be otlp"]
    assert load_problems(LOG_FORMAT="xml") == [
        "ORDERGATE_LOG_FORMAT: must be one of auto, json, text"
    ]


def test_file_of_settings_is_not_read() -> None:
    assert Settings.model_config.get("env_file") is None
    assert Settings.model_config.get("secrets_dir") is None


def test_public_url_needs_another_issuer() -> None:
    assert load_problems(PUBLIC_URL="https://api.example") == [
        "ORDERGATE_PUBLIC_URL needs ORDERGATE_IDENTITY_PROVIDER, the kind of the issuer"
    ]
    issuer = {"JWKS_URL": "https://id.example/jwks", "ISSUER": "https://id.example"}
    assert load_with(**issuer).resource is None
    url = "https://api.example/shop"
    assert load_with(PUBLIC_URL=url, **issuer).resource == url
    assert load_with(ISSUER=url).resource == url


@pytest.mark.parametrize("url", ["api.example", "https://api.example?x", "urn:orders", "https://"])
def test_public_url_is_a_url(url: str) -> None:
    issuer = {"JWKS_URL": "https://id.example/jwks", "ISSUER": "https://id.example"}
    (problem,) = load_problems(PUBLIC_URL=url, **issuer)
    assert problem.startswith("ORDERGATE_PUBLIC_URL: must ")


@pytest.mark.parametrize("name", ["HOME", "ISSUER", "PASSWORD_", "JWKS_URL"])
def test_file_variable_is_for_secrets_only(name: str) -> None:
    (problem,) = load_problems(**{f"{name}_FILE": "/run/secrets/x"})
    assert problem.startswith(f"ORDERGATE_{name}_FILE is not a setting")


def test_all_wrong_settings_are_named_together() -> None:
    problems = load_problems(
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
        ("PORT", "; did you mean ORDERGATE_LISTEN_PORT or ORDERGATE_METRICS_PORT?"),
        ("SECRET", "; did you mean ORDERGATE_SIGNING_SECRET?"),
        (
            "TLS",
            "; did you mean ORDERGATE_TLS_CERTIFICATE_FILE or ORDERGATE_TLS_KEY_FILE?",
        ),
        ("URL", ""),
        ("ZZZZZZZZ", ""),
    ],
)
def test_unknown_setting_is_an_error_that_suggests_the_nearest(name: str, hint: str) -> None:
    assert load_problems(**{name: "x"}) == [f"ORDERGATE_{name} is not a setting{hint}"]


@pytest.mark.parametrize("name", ["SIGNING_SECRET", "ISSUER", "HOME", "PASSWORD"])
def test_value_with_invalid_utf_8_is_refused(name: str) -> None:
    value = (b"\xff" + SECRET.encode()).decode(errors="surrogateescape")
    assert load_problems(**{name: value})[0] == f"ORDERGATE_{name} is not UTF-8"


def test_password_of_commands_is_a_known_setting() -> None:
    assert load_with(PASSWORD="x") == load_with()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"TLS_KEY_FILE": "/key.pem"},
            "ORDERGATE_TLS_KEY_FILE needs ORDERGATE_TLS_CERTIFICATE_FILE",
        ),
        (
            {"TLS_CERTIFICATE_FILE": "/certificate.pem"},
            "ORDERGATE_TLS_CERTIFICATE_FILE needs ORDERGATE_TLS_KEY_FILE",
        ),
        (
            {"TLS_CERTIFICATE_FILE": "/c.pem", "TLS_KEY_FILE": "/k.pem", "LISTEN_UDS": "/run/s"},
            "ORDERGATE_TLS_CERTIFICATE_FILE and ORDERGATE_LISTEN_UDS exclude each other",
        ),
    ],
    ids=["key", "certificate", "unix socket"],
)
def test_files_of_tls_come_together_and_for_a_port(given: dict[str, str], problem: str) -> None:
    assert load_problems(**given) == [problem]


def test_two_signing_keys_exclude_each_other() -> None:
    problems = load_problems(SIGNING_SECRET=SECRET, SIGNING_KEY_FILE="/nowhere/key.pem")
    assert problems[0] == (
        "ORDERGATE_SIGNING_KEY_FILE and ORDERGATE_SIGNING_SECRET exclude each other"
    )


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/nowhere/key.pem", "file /nowhere/key.pem"),
        ("./nothing.pem", "such file"),
        ("nothing.pem", "such file"),
        (f"{__file__}/key.pem", f"file {__file__}/key.pem"),
    ],
)
def test_missing_key_file_is_named_immediately(path: str, named: str) -> None:
    (problem,) = load_problems(SIGNING_KEY_FILE=path)
    assert problem.startswith(f"ORDERGATE_SIGNING_KEY_FILE: there is no {named}; `openssl ")


def test_key_file_cannot_be_a_folder() -> None:
    folder = Path(__file__).parent
    assert load_problems(SIGNING_KEY_FILE=str(folder)) == [
        f"ORDERGATE_SIGNING_KEY_FILE: {folder} is not a regular file; name the PEM file"
    ]


@pytest.mark.parametrize("name", ["a b", "a\nb", "é", "x" * 256])
def test_audience_is_a_short_plain_name(name: str) -> None:
    expected = "must be 1 to 255 printable ASCII characters, no spaces"
    assert load_problems(AUDIENCE=name) == [f"ORDERGATE_AUDIENCE: {expected}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "https://orders.example",
        "https://example.org/api/orders-1",
        "http://[::1]:8000",
        "https://orders.example/",
        "https://Orders.Example/API",
    ],
)
def test_issuer_is_a_url(url: str) -> None:
    assert load_with(ISSUER=url).issuer == url


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (
            "ordergate",
            "must begin with https:// or http://, as the public URL of this",
        ),
        ("ftp://orders.example", "must begin with https:// or http://"),
        ("HTTPS://orders.example", "must begin with https:// or http://"),
        ("https://", "must be a host, an optional port and an optional path without empty"),
        ("https://orders.example//a", "must be a host, an optional port and an optional path"),
        ("https://orders.example?a=b", "must have no query and no fragment"),
        ("https://orders.example#a", "must have no query and no fragment"),
        ("https://me@orders.example", "must have no user name"),
        ("https://orders.example/a b", "must be a host, an optional port and an optional path"),
        ("https://orders.example\n", "must be a host, an optional port and an optional path"),
        ("https://orders.example/" + "x" * 255, "must have at most 255 characters"),
    ],
)
def test_error_of_an_issuer_names_the_broken_rule(url: str, rule: str) -> None:
    (problem,) = load_problems(ISSUER=url)
    assert problem.startswith(f"ORDERGATE_ISSUER: {rule}")


def test_cors_headers_are_separated_by_commas() -> None:
    origin = "https://a.example"
    settings = load_with(CORS_ORIGINS=origin, CORS_HEADERS="X-Tenant, x_page")
    assert settings.cors_headers == ("X-Tenant", "x_page")
    names = ",".join(f"X-{number}" for number in range(32))
    assert len(load_with(CORS_ORIGINS=origin, CORS_HEADERS=names).cors_headers) == 32
    assert load_problems(CORS_HEADERS="X-Tenant") == [
        "ORDERGATE_CORS_HEADERS needs ORDERGATE_CORS_ORIGINS"
    ]
    assert load_problems(CORS_METHODS="QUERY", CORS_EXPOSED_HEADERS="X-Total") == [
        "ORDERGATE_CORS_METHODS needs ORDERGATE_CORS_ORIGINS",
        "ORDERGATE_CORS_EXPOSED_HEADERS needs ORDERGATE_CORS_ORIGINS",
    ]


def test_cors_methods_are_separated_by_commas() -> None:
    origin = "https://shop.example"
    assert load_with(CORS_ORIGINS=origin, CORS_METHODS="QUERY, COPY").cors_methods == (
        "QUERY",
        "COPY",
    )
    for refused in ("query", "*", "TRACE", "GET,,PUT", "CONNECT"):
        assert load_problems(CORS_ORIGINS=origin, CORS_METHODS=refused) == [
            "ORDERGATE_CORS_METHODS: must be at most 32 methods in upper case such as QUERY"
        ]


@pytest.mark.parametrize(
    "names", ["*", "X-A,*", "X A", "X:A", "X-A,,X-B", "é", "-", "X" * 65, ",".join(["X-A"] * 33)]
)
def test_any_other_cors_header_is_refused(names: str) -> None:
    assert load_problems(CORS_ORIGINS="https://a.example", CORS_HEADERS=names) == [
        "ORDERGATE_CORS_HEADERS: must be at most 32 header names such as X-Tenant, without *"
    ]


def test_origins_are_separated_by_commas() -> None:
    assert load_with(CORS_ORIGINS="https://a.example, http://localhost:3000").cors_origins == (
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
def test_invalid_origin_is_refused(origin: str) -> None:
    (problem,) = load_problems(CORS_ORIGINS=origin)
    assert problem.startswith("ORDERGATE_CORS_ORIGINS: must be origins")


THROTTLE_URLS = [
    "redis://localhost",
    "redis://localhost:6379/0",
    "rediss://name:pass%23word@redis.example:6380/15",
    "valkey://:password@[::1]:6379/",
    "valkeys://10.0.0.1",
]


@pytest.mark.parametrize("url", THROTTLE_URLS)
def test_throttle_url_names_a_redis(url: str) -> None:
    settings = load_with(THROTTLE_URL=url)
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
    assert load_problems(THROTTLE_URL=url) == [f"ORDERGATE_THROTTLE_URL: {expected}"]


def test_proxies_are_separated_by_commas() -> None:
    assert load_with(TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1,2001:DB8::/32").trusted_proxies == (
        "10.0.0.0/8",
        "192.0.2.1/32",
        "2001:db8::/32",
    )


@pytest.mark.parametrize(
    "proxies", ["*", "proxy.example", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.1,"]
)
def test_invalid_proxy_is_refused(proxies: str) -> None:
    (problem,) = load_problems(TRUSTED_PROXIES=proxies)
    assert problem.startswith("ORDERGATE_TRUSTED_PROXIES: must be IP addresses or networks")


def test_repr_and_errors_do_not_contain_secrets() -> None:
    assert SECRET not in repr(load_with(SIGNING_SECRET=SECRET))
    assert SECRET not in str(load_with(SIGNING_SECRET=SECRET))
    problems = load_problems(SIGNING_SECRET="hunter2", DATABASE_URL="mysql://me:hunter2@h/d")
    assert "hunter2" not in str(problems)


MARK = "7f3c9a"  # the rest of a value may happen to be a word of the message
environment_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(
    name=st.sampled_from(sorted(Settings.model_fields)),
    value=environment_text,
)
def test_any_value_is_a_setting_or_an_error_that_does_not_repeat_it(name: str, value: str) -> None:
    try:
        load_with(**{name.upper(): value + MARK})
    except SettingsError as error:
        assert all(problem.startswith("ORDERGATE_") for problem in error.problems)
        is_path = name == "signing_key_file" and value.startswith(("/", "."))
        assert is_path or MARK not in str(error)


@given(name=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=20))
def test_any_other_name_is_refused(name: str) -> None:
    files = {f"{each}_FILE" for each in list_secret_names()}
    if name.lower() not in {*Settings.model_fields, "password"} and name not in files:
        assert load_problems(**{name: "x"})[0].startswith(f"ORDERGATE_{name} is not a setting")


STANDBY = "ORDERGATE_READ_DATABASE_URL"


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        (
            {"READ_DATABASE_URL": "postgresql://db2/orders"},
            "needs a PostgreSQL database in ORDERGATE_DATABASE_URL; set that, or unset this one",
        ),
        (
            {"DATABASE_URL": "postgres://db/orders", "READ_DATABASE_URL": "mariadb://db2/orders"},
            "must begin like ORDERGATE_DATABASE_URL, because it names a standby of that database",
        ),
        (
            {"DATABASE_URL": "postgres://db/orders", "READ_DATABASE_URL": "db2"},
            "must begin with sqlite or postgresql or mariadb or mysql",
        ),
    ],
)
def test_standby_that_cannot_be_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, urls: dict[str, str], problem: str
) -> None:
    for name, value in urls.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError) as refusal:
        load_checked_settings()
    assert refusal.value.problems == [f"{STANDBY}: {problem}"]


def test_storage_of_one_file_has_no_standby() -> None:
    settings = make_settings({"read_database_url": "postgresql://db2/orders"})
    with pytest.raises(SettingsError, match=STANDBY):
        make_configured_storage(settings)


def test_standby_may_have_another_spelling_of_the_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "postgres://db1/orders")
    monkeypatch.setenv(STANDBY, "postgresql+asyncpg://db2/orders")
    assert isinstance(make_configured_storage(load_checked_settings()), SqlStorage)
