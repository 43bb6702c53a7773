"""The settings in force: values as an operator writes them, without secrets."""

import os

import pytest

from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.loading import list_secret_names, load_settings
from ordergate.entrypoints.diagnosis.settings_in_force import (
    SettingInForce,
    list_settings_in_force,
)
from ordergate.entrypoints.factories.databases import find_database_url_error


@pytest.fixture(autouse=True)
def clear_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def find(monkeypatch: pytest.MonkeyPatch, name: str, **variables: str) -> SettingInForce:
    """Return a setting in force with these variables."""
    for variable, value in variables.items():
        monkeypatch.setenv(PREFIX + variable, value)
    settings = load_settings({"database_url": find_database_url_error})
    (found,) = (each for each in list_settings_in_force(settings) if each.variable == PREFIX + name)
    return found


PASSWORDS = {
    "DATABASE_URL": [
        (
            "postgresql://shop:hunter2@db1,db2:6432/orders",
            "postgresql://***@db1:5432,db2:6432/orders",
        ),
        ("postgres://shop@db/orders?password=hunter2", "postgres://***@db:5432/orders?***"),
        ("mariadb://shop:hunter2@db/orders?ssl-mode=REQUIRED", "mariadb://***@db:3306/orders?***"),
        ("sqlite:////srv/shop.db", "sqlite:////srv/shop.db"),
        ("sqlite+pysqlite:////srv/shop.db", "sqlite+pysqlite:////srv/shop.db"),
    ],
    "READ_DATABASE_URL": [
        ("postgresql://shop:hunter2@db2/orders", "postgresql://***@db2:5432/orders"),
    ],
    "THROTTLE_URL": [
        ("redis://:hunter2@cache:6380/1", "redis://***@cache:6380/1"),
        ("rediss://shop:hunter2@[::1]/0", "rediss://***@[::1]/0"),
        ("valkey://cache", "valkey://cache"),
    ],
    "OUTGOING_PROXY": [
        ("http://shop:hunter2@proxy:3128", "http://***@proxy:3128"),
        ("environment", "environment"),
    ],
    "SIGNING_SECRET": [("https://a.secret.that/looks/like/an/address:hunter2", "***")],
}
"""Values of each secret setting, and what is shown of them."""

OTHER_ISSUER = {
    "IDENTITY_PROVIDER": "oidc",
    "ISSUER": "https://id.example",
    "AUDIENCE": "https://orders.example",
}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [(name, *each) for name, values in PASSWORDS.items() for each in values],
)
def test_secret_is_hidden_and_its_address_is_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    issuer = OTHER_ISSUER if name == "OUTGOING_PROXY" else {}
    setting = find(monkeypatch, name, **{name: value}, **issuer)
    assert setting == (PREFIX + name, "environment", shown, shown)


def test_values_of_every_secret_setting_are_examined() -> None:
    assert {*PASSWORDS, "PASSWORD"} == set(list_secret_names())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SIGN_UP", "false", False),
        ("BCRYPT_COST", "13", 13),
        ("TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1/32", ["10.0.0.0/8", "192.0.2.1/32"]),
        ("DEFAULT_SCOPE", "orders:read account", ["orders:read", "account"]),
        ("SCOPE_MAP", "R=orders:read,A=account", {"R": ["orders:read"], "A": ["account"]}),
        ("SCOPE_CLAIM", r"scope,a\,b", ["scope", "a,b"]),
    ],
)
def test_text_of_a_value_is_what_the_variable_takes(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    issuer = OTHER_ISSUER if name.startswith(("DEFAULT", "SCOPE")) else {}
    setting = find(monkeypatch, name, **{name: text}, **issuer)
    assert (setting.text, setting.value) == (text, value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("SIGN_UP", True, "true"),
        ("CORS_ORIGINS", [], "none"),
        ("SCOPE_MAP", {}, "none"),
        ("THROTTLE_URL", None, "memory of each worker"),
        ("HOME", ".ordergate", ".ordergate"),
    ],
)
def test_default_is_shown_as_it_is_in_force(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, text: str
) -> None:
    assert find(monkeypatch, name) == (PREFIX + name, "default", value, text)
