"""`/.well-known/…`: metadata for clients, and keys for other services."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ordergate.domain.scope import Scope
from ordergate.entrypoints.http.openapi.responses import with_example
from ordergate.entrypoints.http.problems.challenges import RESOURCE_METADATA
from ordergate.entrypoints.http.requests.strict_query import StrictQueryRoute
from ordergate.entrypoints.http.services import get_services

_JWKS = "/.well-known/jwks.json"

router = APIRouter(tags=["discovery"], route_class=StrictQueryRoute)
protected_resource = APIRouter(tags=["discovery"], route_class=StrictQueryRoute)
"""What remains of discovery when another issuer signs the tokens."""


class JwkSetResponse(JSONResponse):
    """JSON with the media type of RFC 7517, section 8.5.2."""

    media_type = "application/jwk-set+json"


class JwkSet(BaseModel):
    """Public keys (RFC 7517, section 5)."""

    model_config = with_example(
        keys=[
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
                "alg": "ES256",
                "use": "sig",
            }
        ]
    )

    keys: list[dict[str, str]] = Field(description="Empty if a secret signs the tokens.")


_NO_SECRET = "Clients have no secret."
_METADATA: dict[str, JsonValue] = {
    "issuer": "https://orders.example",
    "token_endpoint": "https://orders.example/login",
    "revocation_endpoint": "https://orders.example/revoke",
    "jwks_uri": f"https://orders.example{_JWKS}",
    "service_documentation": "https://orders.example/docs",
    "scopes_supported": ["account", "orders:read", "orders:write"],
    "response_types_supported": ["none"],
    "grant_types_supported": ["password", "refresh_token"],
    "token_endpoint_auth_methods_supported": ["none"],
    "revocation_endpoint_auth_methods_supported": ["none"],
    "protected_resources": ["https://orders.example"],
}
_RESOURCE_METADATA: dict[str, JsonValue] = {
    "resource": "https://orders.example",
    "authorization_servers": ["https://orders.example"],
    "scopes_supported": ["account", "orders:read", "orders:write"],
    "bearer_methods_supported": ["header"],
    "resource_documentation": "https://orders.example/docs",
}


class ServerMetadata(BaseModel):
    """Metadata for OAuth2 clients (RFC 8414, section 2)."""

    model_config = ConfigDict(
        json_schema_extra={"additionalProperties": True, "examples": [_METADATA]}
    )

    issuer: str = Field(description="The issuer, as in the claim iss of tokens.")
    token_endpoint: str = Field(description="The URL to sign in and to renew a session.")
    revocation_endpoint: str = Field(description="The URL to revoke a token.")
    jwks_uri: str = Field(description="The URL of the public keys.")
    service_documentation: str = Field(description="The URL of the page with all operations.")
    scopes_supported: list[str] = Field(description="The scopes that a sign-in can grant.")
    response_types_supported: list[str] = Field(
        description="The registered value for no response: there is no authorization endpoint."
    )
    grant_types_supported: list[str] = Field(description="The grant types of the token endpoint.")
    token_endpoint_auth_methods_supported: list[str] = Field(description=_NO_SECRET)
    revocation_endpoint_auth_methods_supported: list[str] = Field(description=_NO_SECRET)
    protected_resources: list[str] = Field(
        description="The identifiers of the services that accept the tokens (RFC 9728, section 4)."
    )


class ResourceMetadata(BaseModel):
    """Metadata of a service that accepts tokens (RFC 9728, section 2)."""

    model_config = ConfigDict(
        json_schema_extra={"additionalProperties": True, "examples": [_RESOURCE_METADATA]}
    )

    resource: str = Field(description="The public URL of this service, which identifies it.")
    authorization_servers: list[str] = Field(
        default_factory=list,
        exclude_if=lambda urls: not urls,
        description="The issuers of the accepted tokens, if they are URLs.",
    )
    scopes_supported: list[str] = Field(description="The scopes that operations require.")
    bearer_methods_supported: list[str] = Field(description="How to send an access token.")
    resource_documentation: str = Field(description="The URL of the page with all operations.")


@router.get(
    _JWKS,
    name="jwks",
    summary="Read the public keys",
    response_description="The public keys.",
    response_class=JwkSetResponse,
)
async def jwks(request: Request, response: Response) -> JwkSet:
    """Return every key that signs or verifies valid tokens, now or soon.

    A key is published for twice the cache time of an answer before it signs.
    """
    _allow_caching(request, response)
    return JwkSet.model_validate(get_services(request).signing_keys().jwks())


@router.get(
    "/.well-known/oauth-authorization-server",
    name="server_metadata",
    summary="Read the metadata for OAuth2 clients",
    response_description="The metadata.",
)
async def server_metadata(request: Request, response: Response) -> ServerMetadata:
    """Describe this service to OAuth2 clients (RFC 8414)."""
    _allow_caching(request, response)
    return _describe_server(request)


def _describe_server(request: Request) -> ServerMetadata:
    settings = get_services(request).settings()
    issuer = settings.issuer.removesuffix("/")
    return ServerMetadata(
        issuer=settings.issuer,
        token_endpoint=f"{issuer}/login",
        revocation_endpoint=f"{issuer}/revoke",
        jwks_uri=f"{issuer}{_JWKS}",
        service_documentation=f"{issuer}/docs",
        scopes_supported=sorted(get_services(request).known_scopes()),
        response_types_supported=["none"],
        grant_types_supported=["password", "refresh_token"],
        token_endpoint_auth_methods_supported=["none"],
        revocation_endpoint_auth_methods_supported=["none"],
        protected_resources=[settings.issuer],
    )


@router.get("/.well-known/openid-configuration", name="openid_metadata", include_in_schema=False)
async def openid_metadata(request: Request, response: Response) -> ServerMetadata:
    """Return the same metadata where verifiers of tokens look first (RFC 8414, section 5)."""
    _allow_caching(request, response)
    return _describe_server(request)


@protected_resource.get(
    RESOURCE_METADATA,
    name="resource_metadata",
    summary="Read the metadata of this service",
    response_description="The metadata.",
)
async def resource_metadata(request: Request, response: Response) -> ResourceMetadata:
    """Describe this service as a protected resource (RFC 9728)."""
    _allow_caching(request, response)
    settings = get_services(request).settings()
    resource = settings.resource or ""
    scopes = set(get_services(request).known_scopes())
    if not settings.issues_tokens:
        scopes.discard(Scope.ACCOUNT)  # its routes do not exist
    return ResourceMetadata(
        resource=resource,
        authorization_servers=[name for name in settings.issuers if name.startswith("http")],
        scopes_supported=sorted(scopes),
        bearer_methods_supported=["header"],
        resource_documentation=f"{resource.removesuffix('/')}/docs",
    )


def _allow_caching(request: Request, response: Response) -> None:
    seconds = int(get_services(request).key_schedule().cache_time.total_seconds())
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
