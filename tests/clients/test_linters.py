"""The linters of OpenAPI documents find no error."""

import json

from tests.clients.workshop import Workshop


def test_spectral_finds_no_error_and_no_warning(workshop: Workshop) -> None:
    workshop.copy("spectral.yaml")
    workshop.run(
        "spectral", "lint", f"{workshop.url}/openapi.json",
        "--ruleset", "spectral.yaml", "--fail-severity", "hint",
    )  # fmt: skip


def test_redocly_finds_no_error_and_no_warning(workshop: Workshop) -> None:
    workshop.copy("redocly.yaml")
    workshop.run("curl", "--silent", f"{workshop.url}/openapi.json", "--output", "openapi.json")
    report = workshop.run(
        "redocly", "lint", "openapi.json", "--config", "redocly.yaml", "--format", "json",
    )  # fmt: skip
    assert json.loads(report)["problems"] == []
