"""Challenges that lead to the metadata of this service."""

from dataclasses import replace
from urllib.parse import urlsplit

from ordergate.entrypoints.http.problems.catalog import CHALLENGE
from ordergate.entrypoints.http.problems.problem import Problem

RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
"""The address of the metadata of a service that accepts tokens (RFC 9728, section 3)."""

_HEADER = "WWW-Authenticate"
_PARAMETER = "resource_metadata"


def locate_metadata(resource: str) -> str:
    """Locate the metadata of a resource (RFC 9728, section 3.1)."""
    url = urlsplit(resource)
    return f"{url.scheme}://{url.netloc}{RESOURCE_METADATA}{'' if url.path == '/' else url.path}"


def add_metadata(problem: Problem, resource: str | None) -> Problem:
    """Add the address of a resource's metadata to our challenge (RFC 9728, section 5.1)."""
    challenge = problem.headers.get(_HEADER, "")
    if resource is None or not challenge.startswith(CHALLENGE) or _PARAMETER in challenge:
        return problem
    challenge = f'{challenge}, {_PARAMETER}="{locate_metadata(resource)}"'
    return replace(problem, headers={**problem.headers, _HEADER: challenge})
