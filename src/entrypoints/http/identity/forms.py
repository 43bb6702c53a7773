"""The forms of OAuth2 endpoints as the OpenAPI document describes them.

`read_form` reads them, more strictly than pydantic does.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ordergate.domain.scope import BUILT_IN_SCOPES
from ordergate.entrypoints.http.identity.oauth import FORM
from ordergate.entrypoints.http.openapi.responses import with_example

_SYNTAX, _ESCAPED = re.compile(r"[$()*+./?\[\]^{|}]"), r"\\\g<0>"
"""What regular expressions of JSON Schema may escape."""
_optional = partial(Field, default_factory=str)  # a default would be a part of the schema
_ClientId = Annotated[
    str,
    _optional(
        pattern=r"^[\x20-\x7e]*$",
        max_length=255,
        description="The name of the client, as tokens carry it.",
        examples=["first-party"],
    ),
]


class LoginForm(BaseModel):
    """A user name and a password, or a refresh token."""

    model_config = with_example(grant_type="password", username="user1", password="ordergate-demo")

    grant_type: Literal["password", "refresh_token"] = Field(
        default_factory=lambda: "password",
        description="`password` if it is missing.",
        examples=["password"],
    )
    username: str = _optional(
        min_length=1, description="For the grant type `password`.", examples=["user1"]
    )
    password: str = _optional(
        min_length=1,
        description="For the grant type `password`.",
        json_schema_extra={"format": "password"},
        examples=["ordergate-demo"],
    )
    refresh_token: str = _optional(
        min_length=1, description="For the grant type `refresh_token`.", examples=["ogr_unknown"]
    )
    scope: str = _optional(
        description="The scopes of the access token, separated by spaces; all if it is empty.",
        json_schema_extra=lambda schema: schema.update(describe_scopes(BUILT_IN_SCOPES)),
    )
    client_id: _ClientId


class RevokeForm(BaseModel):
    """A token to revoke."""

    model_config = with_example(token="ogr_unknown")

    token: str = Field(
        min_length=1,
        description="A refresh token, or an access token that the service can revoke.",
        examples=["ogr_unknown"],
    )
    token_type_hint: str = _optional(
        description="Ignored: the token itself shows its type.", examples=["refresh_token"]
    )
    client_id: _ClientId


def describe_scopes(names: Iterable[str]) -> dict[str, Any]:
    """Return the pattern and the example of the field `scope`."""
    any_scope = f"({'|'.join(_SYNTAX.sub(_ESCAPED, name) for name in names)})"
    return {
        "pattern": f"^({any_scope}( {any_scope})*)?$",
        "examples": [" ".join(sorted(names))],
    }


def document_form(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the body of a request, as `openapi_extra` of a route."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}
