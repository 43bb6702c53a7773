"""Variables of Kubernetes for Services, made here as its kubelet does.

https://github.com/kubernetes/kubernetes/blob/v1.31.0/pkg/kubelet/envvars/envvars.go
"""

import os
from ipaddress import IPv4Address
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.loading import SettingsError, list_secret_names
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.checked_settings import load_checked_settings

Port = tuple[int, str, str]
"""A number, a protocol and a name, which may be empty."""


def kubelet_variables(service: str, address: str, ports: list[Port]) -> dict[str, str]:
    """Return the variables of a Service."""
    prefix = variable_name(service)
    host = f"[{address}]" if ":" in address else address
    variables = {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": str(ports[0][0]),
        f"{prefix}_PORT": f"{ports[0][1].lower()}://{host}:{ports[0][0]}",
    }
    for number, protocol, name in ports:
        if name:
            variables[f"{prefix}_SERVICE_PORT_{variable_name(name)}"] = str(number)
        link = f"{prefix}_PORT_{number}_{protocol}"
        variables[link] = f"{protocol.lower()}://{host}:{number}"
        variables[f"{link}_PROTO"] = protocol.lower()
        variables[f"{link}_PORT"] = str(number)
        variables[f"{link}_ADDR"] = address
    return variables


def variable_name(name: str) -> str:
    return name.replace("-", "_").upper()


def load_problems(variables: dict[str, str]) -> list[str]:
    with patch.dict(os.environ, variables):
        try:
            load_checked_settings()
        except SettingsError as error:
            return error.problems
    return []


HTTP: Port = (8000, "TCP", "http")
SERVICE = kubelet_variables("ordergate", "10.0.0.1", [HTTP])


def test_variables_of_a_service_named_ordergate_are_ignored() -> None:
    assert SERVICE == {
        "ORDERGATE_SERVICE_HOST": "10.0.0.1",
        "ORDERGATE_SERVICE_PORT": "8000",
        "ORDERGATE_SERVICE_PORT_HTTP": "8000",
        "ORDERGATE_PORT": "tcp://10.0.0.1:8000",
        "ORDERGATE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "ORDERGATE_PORT_8000_TCP_PROTO": "tcp",
        "ORDERGATE_PORT_8000_TCP_PORT": "8000",
        "ORDERGATE_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    assert load_problems(SERVICE) == []


labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", fullmatch=True)
services = st.one_of(
    st.just("ordergate"),
    labels.map(lambda name: f"ordergate-{name}"),
    st.sampled_from([*Settings.model_fields, *list_secret_names()]).map(
        lambda name: f"ordergate-{name.lower().replace('_', '-')}"
    ),
)
addresses = (
    st.ip_addresses()
    .filter(lambda ip: not (ip.is_unspecified or ip.is_loopback or ip.is_multicast))
    .map(str)
)
ports = st.lists(
    st.tuples(st.integers(1, 65_535), st.sampled_from(["TCP", "UDP", "SCTP"]), labels),
    min_size=1,
    max_size=4,
    unique_by=(lambda port: port[:2], lambda port: port[2]),
)


@given(service=services, address=addresses, ports=ports, unnamed=st.booleans())
def test_variables_of_any_service_are_ignored(
    service: str, address: str, ports: list[Port], *, unnamed: bool
) -> None:
    if unnamed:
        ports = [(*ports[0][:2], "")]
    assert load_problems(kubelet_variables(service, address, ports)) == []


@given(service=services, address=addresses, ports=ports, data=st.data())
def test_service_link_with_another_value_is_refused(
    service: str, address: str, ports: list[Port], data: st.DataObject
) -> None:
    variables = kubelet_variables(service, address, ports)
    name = data.draw(st.sampled_from(sorted(variables)))
    value = data.draw(
        st.sampled_from(["8000x", "x", "0", "65536", "http://10.0.0.1:8000", "db.example", "::"])
        | st.just(variables[name] + " ")
        | st.just(variables[name].upper() + "x")
    )
    (problem,) = load_problems(variables | {name: value})
    assert problem.startswith(f"{name} is not a setting")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDERGATE_PORT", "8000"),
        ("ORDERGATE_PORT", "tcp://db.example:8000"),
        ("ORDERGATE_PORT", "tcp://10.0.0.1:08000"),
        ("ORDERGATE_PORT", "tcp://[10.0.0.1]:8000"),
        ("ORDERGATE_PORT", "tcp://10.0.0.1:8000/"),
        ("ORDERGATE_PORT", "http://10.0.0.1:8000"),
        ("ORDERGATE_SERVICE_HOST", str(IPv4Address(0))),
        ("ORDERGATE_SERVICE_HOST", "127.0.0.1"),
        ("ORDERGATE_HOST", "10.0.0.1"),
        ("ORDERGATE_DATABASE_PORT", "5432"),
        ("ORDERGATE_PORT_8000_TCP", "tcp://10.0.0.1:8001"),
        ("ORDERGATE_PORT_8000_TCP", "udp://10.0.0.1:8000"),
        ("ORDERGATE_PORT_8000_TCP_PROTO", "TCP"),
        ("ORDERGATE_PORT_8000_TCP_PORT", "8001"),
        ("ordergate_port", "tcp://10.0.0.1:8000"),
    ],
)
def test_variable_of_nearly_that_form_is_refused(name: str, value: str) -> None:
    (problem,) = load_problems({name: value})
    assert problem.startswith(f"{name} is not a setting")


def test_addresses_of_one_service_must_agree() -> None:
    variables = SERVICE | {"ORDERGATE_SERVICE_HOST": "10.0.0.2"}
    assert [problem.split()[0] for problem in load_problems(variables)] == sorted(variables)


def test_misspelt_setting_is_refused_beside_service_links() -> None:
    assert load_problems(SERVICE | {"ORDERGATE_HOEM": "/srv"}) == [
        "ORDERGATE_HOEM is not a setting; did you mean ORDERGATE_HOME?"
    ]


def test_setting_is_read_beside_service_links() -> None:
    assert load_problems(SERVICE | {"ORDERGATE_BCRYPT_COST": "3"}) == [
        "ORDERGATE_BCRYPT_COST: must be a whole number from 4 to 20"
    ]


@given(service=services, ports=ports)
def test_service_link_is_never_named_as_a_setting(service: str, ports: list[Port]) -> None:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    settings |= {f"{PREFIX}{name}_FILE" for name in list_secret_names()}
    assert not settings & kubelet_variables(service, "10.0.0.1", ports).keys()
