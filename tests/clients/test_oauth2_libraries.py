"""The settings of docs/clients.md for OAuth2 and JWT libraries work."""

import pytest

from tests.clients.workshop import Workshop


@pytest.mark.parametrize("library", ["openid-client", "oauth4webapi", "simple-oauth2", "jose"])
def test_javascript_library_works_with_the_documented_settings(
    workshop: Workshop, library: str
) -> None:
    workshop.write_modules(library)
    workshop.copy("oauth2/session.ts")
    code = (workshop.folder / f"{library}.ts").read_text()
    assert workshop.url in code
    workshop.copy(f"oauth2/{library}-session.ts")
    workshop.run_typescript(f"{library}-session")
