"""The names in the files of deploy/ exist and agree."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from ordergate.entrypoints.asgi import create
from ordergate.entrypoints.cli.main import cli
from ordergate.entrypoints.config.loading import list_secret_names
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.factories.checked_settings import load_checked_settings
from ordergate.entrypoints.server.serving import FINISH_SECONDS
from tests.support.program.captured_output import run_program
from tests.support.programs import find_program

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
PAGE = ROOT / "docs" / "deploying.md"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
CONTAINERFILE = (DEPLOY / "container" / "Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())
DOCUMENTS = [
    document
    for file in sorted(KUBERNETES.glob("*.yaml"))
    if file.stem not in ("kustomization", "pod", "cron-pod")
    for document in yaml.safe_load_all(file.read_text())
]
PORT = Settings.model_fields["listen_port"].default
USER = 10001
CLOSE_SECONDS = 10
"""What closing databases and writing the log may take on a slow machine."""
ENVIRONMENTS = [file for file in FILES if file.suffix == ".env"]


def read_lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def find(kind: str, name: str = "ordergate") -> Any:
    (found,) = (
        each for each in DOCUMENTS if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pod_of(document: Any) -> Any:
    spec = document["spec"]
    return spec.get("jobTemplate", {"spec": spec})["spec"]["template"]


WORKLOADS = [each for each in DOCUMENTS if "template" in str(each["spec"])]


def name_of(value: Any) -> str:
    return str(value["metadata"]["name"])


# The page


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_file_is_explained_by_the_page(file: Path) -> None:
    path = file.relative_to(DEPLOY).as_posix()
    text = PAGE.read_text()
    assert f"deploy/{path}" in text or f"`{path.partition('/')[2] or path}`" in text


def test_files_that_the_page_names_exist() -> None:
    for path in re.findall(r"(?<![\w/])deploy/[\w./*-]*", PAGE.read_text()):
        assert "secrets" in path or list(ROOT.glob(path.rstrip("./"))), path


# Settings and commands


@pytest.mark.parametrize("file", [*FILES, PAGE], ids=lambda file: file.name)
def test_settings_that_are_named_exist(file: Path) -> None:
    named = set(re.findall(r"ORDERGATE_(\w+)", file.read_text()))
    secrets = {f"{name}_FILE" for name in list_secret_names()}
    assert named <= {name.upper() for name in Settings.model_fields} | secrets


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.parent.name)
def test_settings_that_are_set_are_valid(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "database-url").write_text("postgresql://ordergate@postgres/orders")
    monkeypatch.chdir(tmp_path)
    for line in read_lines(file):
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, re.sub(r".*/database-url", "database-url", value))
    assert load_checked_settings().issuer == "https://orders.example"


def list_commands() -> Iterator[tuple[str, str]]:
    """Yield each file's commands of `ordergate`, as one line."""
    for file in FILES:
        for line in re.findall(
            r"^Exec\w+=.*?/bin/ordergate ([^\"']+)", file.read_text(), re.MULTILINE
        ):
            yield file.name, line.strip()
    for workload in WORKLOADS:
        (container,) = pod_of(workload)["spec"]["containers"]
        yield name_of(workload), shlex.join(container["args"])
    for name, service in COMPOSE["services"].items():
        if service["image"].startswith("ordergate:"):
            yield name, shlex.join(service["command"])
    for command in re.findall(r'CMD \["(?:ordergate", ")?(.*)"\]', CONTAINERFILE):
        yield "Containerfile", command
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for line in re.findall(r"^ordergate-run (.*)", block, re.MULTILINE):
            yield PAGE.name, line


COMMANDS = sorted(set(list_commands()))


@pytest.mark.parametrize(("file", "line"), COMMANDS, ids=[" ".join(each) for each in COMMANDS])
def test_command_exists_with_its_options(file: str, line: str) -> None:
    command = typer.main.get_command(cli)
    words = shlex.split(line)
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_way_migrates_serves_purges_and_rotates() -> None:
    for names in (
        {
            "ordergate-serve.service",
            "ordergate-purge.service",
            "ordergate-rotate-keys.service",
            PAGE.name,
        },
        {"serve", "migrate", "purge", "rotate-keys"},
        {name_of(workload) for workload in WORKLOADS},
    ):
        lines = {line.partition(" --")[0] for file, line in COMMANDS if file in names}
        assert {"serve", "migrate", "purge", "keys rotate"} <= lines


# Ports, users and probes


def test_ports_agree() -> None:
    proxies = [(DEPLOY / "nginx" / "ordergate.conf"), (DEPLOY / "caddy" / "Caddyfile")]
    for proxy in proxies:
        assert re.findall(r"127\.0\.0\.1:(\d+)", proxy.read_text()) == [str(PORT)]
    assert re.findall(r"^EXPOSE (\d+)", CONTAINERFILE, re.MULTILINE) == [str(PORT)]
    assert COMPOSE["services"]["serve"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    (container,) = pod_of(find("Deployment"))["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": PORT}]
    (ingress,) = find("NetworkPolicy")["spec"]["ingress"]
    assert ingress["ports"] == [{"port": PORT}]


def test_containers_run_as_one_ordinary_user_on_a_read_only_root() -> None:
    assert re.findall(r"^USER (.*)", CONTAINERFILE, re.MULTILINE) == [f"{USER}:{USER}"]
    ordinary, nested = (
        yaml.safe_load((KUBERNETES / name).read_text())["spec"]
        for name in ("pod.yaml", "cron-pod.yaml")
    )
    pod = ordinary["template"]["spec"]
    assert nested["jobTemplate"]["spec"]["template"]["spec"] == pod
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (USER, USER)
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    for service in COMPOSE["services"].values():
        if service["image"].startswith("ordergate:"):
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]


def test_managers_wait_longer_than_a_server_takes_to_end() -> None:
    unit = (DEPLOY / "systemd" / "ordergate-serve.service").read_text()
    (systemd,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    waits = {
        "systemd": systemd,
        "container": COMPOSE["services"]["serve"]["stop_grace_period"].removesuffix("s"),
        "kubernetes": pod_of(find("Deployment"))["spec"]["terminationGracePeriodSeconds"],
    }
    assert {file.parent.name for file in ENVIRONMENTS} == waits.keys()
    for file in ENVIRONMENTS:
        drain = re.findall(r"^ORDERGATE_DRAIN_SECONDS=(\d+)$", file.read_text(), re.MULTILINE)
        seconds = int(drain[0]) if drain else Settings.model_fields["drain_seconds"].default
        assert seconds + FINISH_SECONDS + CLOSE_SECONDS <= int(waits[file.parent.name])


def test_probes_lead_to_routes() -> None:
    (container,) = pod_of(find("Deployment"))["spec"]["containers"]
    paths = {
        container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    }
    assert paths == {"/livez", "/readyz"}
    assert paths <= set(create().openapi()["paths"])


def test_selectors_of_kubernetes_lead_to_the_pods() -> None:
    labels = pod_of(find("Deployment"))["metadata"]["labels"]
    assert find("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert find("Service")["spec"]["selector"] == labels
    assert find("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "ordergate"
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    named = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"])}
    assert named == {file.name for file in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}


def test_kustomize_gives_every_pod_the_same_form() -> None:
    rendered = run_program(
        [find_program("kubectl"), "kustomize", KUBERNETES],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    documents = list(yaml.safe_load_all(rendered))
    pods = [pod_of(each) for each in documents if each["kind"] in ("Deployment", "Job", "CronJob")]
    assert len(pods) == 4
    (settings,) = (each for each in documents if each["kind"] == "ConfigMap")
    volumes = {volume["name"] for volume in pods[0]["spec"]["volumes"]}
    for pod in pods:
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "ordergate"
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        (container,) = pod["spec"]["containers"]
        assert container["args"]
        assert container["image"] == "registry.example/ordergate:0.1.0"
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
