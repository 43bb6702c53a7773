"""The address of a resource's metadata (RFC 9728, section 3.1)."""

import pytest

from ordergate.entrypoints.http.problems.challenges import locate_metadata

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("resource", "address"),
    [
        ("https://api.example", f"https://api.example{WELL_KNOWN}"),
        ("https://api.example/", f"https://api.example{WELL_KNOWN}"),
        ("http://127.0.0.1:8000/shop", f"http://127.0.0.1:8000{WELL_KNOWN}/shop"),
        ("https://[::1]:8/a/b/", f"https://[::1]:8{WELL_KNOWN}/a/b/"),
    ],
)
def test_metadata_address_has_the_path_last(resource: str, address: str) -> None:
    assert locate_metadata(resource) == address
