"""Applications on memory, and callers, for the tests of an adopter."""

from collections.abc import Callable, Iterable, Mapping

import jwt
from fastapi import FastAPI
from starlette.types import Lifespan

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.ports.tokens import Caller
from ordergate.domain.user import MAX_ID, UserId
from ordergate.entrypoints.config.issuers.settings import OtherIssuerSettings
from ordergate.entrypoints.config.loading import make_settings
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.application import Application
from ordergate.entrypoints.http.mounted import list_mounted

_FOR_TESTS: dict[str, object] = {
    "signing_secret": "only for tests, but 32 bytes or more",
    "revocation": "until-expiry",  # accepts tokens without a session
    "bcrypt_cost": 4,
}
_INSTEAD_OF_A_SECRET = ("signing_key_file", "identity_provider", "jwks_url")


def create(
    *,
    scopes: Mapping[str, str] | None = None,
    lifespan: Lifespan[FastAPI] | None = None,
    **settings: object,
) -> FastAPI:
    """Make an application on memory, like `asgi.create`; add your routers to it.

    `settings` are settings by their names in lower case, such as `sign_up=False`. The environment
    is not read. Raises `SettingsError` for wrong settings.
    """
    defaults = dict(_FOR_TESTS)
    if not settings.keys().isdisjoint(_INSTEAD_OF_A_SECRET):
        del defaults["signing_secret"]
    container = _make_memory_container({**defaults, **settings})
    if scopes is not None:
        container.scopes.override(scopes)
    return create_app(container, lifespan=lifespan)


def make_container(settings: Settings) -> Container:
    """Make a container on memory, for `asgi.create` or `ORDERGATE_CONTAINER`.

    With the settings of another issuer, the application accepts the tokens of `authorize` instead.
    """
    given = settings.model_dump(exclude_unset=True)
    left_out = {"signing_key_file"}
    if not settings.issues_tokens:
        left_out |= {"issuer", "audience", *OtherIssuerSettings.model_fields}
    kept = {name: value for name, value in given.items() if name not in left_out}
    return _make_memory_container({**kept, **_FOR_TESTS})


def _make_memory_container(settings: Mapping[str, object]) -> Container:
    return Container(settings=make_settings(settings), storage=InMemoryStorage())


def authorize(
    app: FastAPI,
    user_id: int = 1,
    *,
    scopes: Iterable[str] | None = None,
    client_id: str = "tests",
    claims: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """Return the header of a token for any user, without an account.

    `app` is the application that `create` returned, or one that it is mounted below. The default is
    every scope that the application knows. `claims` are further claims. Raises `ValueError` for
    unknown scopes, for claims that every token has, and for an id of no user; and `TypeError` for
    another application.
    """
    services = _find_container(app)
    known = services.known_scopes()
    scope = frozenset(known if scopes is None else scopes)
    if unknown := {scopes} if isinstance(scopes, str) else scope.difference(known):
        names = ", ".join(sorted(unknown))
        raise ValueError(f"the application knows no scope {names}; `scopes` is a list of names")
    _require_user_id(user_id)
    token = services.tokens().issue(Caller(UserId(user_id), client_id, scope)).value
    if claims:
        token = _add_claims(token, claims, services)
    return {"Authorization": f"Bearer {token}"}


def _require_user_id(user_id: object) -> None:
    if not isinstance(user_id, int) or not 1 <= user_id <= MAX_ID:
        raise ValueError(f"the id of a user is a whole number from 1, not {user_id!r}")


def _find_container(app: FastAPI) -> Container:
    for candidate in (app, *list_mounted(getattr(app, "routes", ()))):
        if isinstance(candidate, Application):
            container: Container = candidate.state.services
            if not container.settings().issues_tokens:
                raise TypeError(
                    "the application accepts the tokens of another issuer; override the caller by"
                    " be(), or leave out the settings of that issuer"
                )
            return container
    raise TypeError("a token needs the application that create() returned, or one above it")


def _add_claims(token: str, claims: Mapping[str, object], container: Container) -> str:
    own: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    if taken := sorted(own.keys() & claims):
        raise ValueError(f"every token has {', '.join(taken)} already; choose other claims")
    key = container.signing_keys().signing()
    headers = jwt.get_unverified_header(token)
    return jwt.encode({**own, **claims}, key.key, key.algorithm, headers=headers)


def be(
    user_id: int,
    *,
    scopes: Iterable[str] = (),
    client_id: str = "tests",
    claims: Mapping[str, object] | None = None,
) -> Callable[[], Caller]:
    """Return an override that makes every request one of this user.

    `app.dependency_overrides[bearer_authentication] = be(7)`. No scope is checked then.
    """
    caller = Caller(UserId(user_id), client_id, frozenset(scopes), claims=claims or {})
    return lambda: caller
