"""Applications on memory, and callers, for the tests of an adopter."""

from collections.abc import Callable, Iterable, Mapping

from fastapi import FastAPI
from starlette.types import Lifespan

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.ports.tokens import Caller
from ordergate.domain.user import UserId
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.http.app import create_app
from ordergate.entrypoints.http.application import Application

_FOR_TESTS: dict[str, object] = {
    "signing_secret": "only for tests, but 32 bytes or more",
    "revocation": "until-expiry",  # accepts tokens without a session
    "bcrypt_cost": 4,
}


def create(
    *,
    scopes: Mapping[str, str] | None = None,
    lifespan: Lifespan[FastAPI] | None = None,
    **settings: object,
) -> FastAPI:
    """Make an application on memory, like `asgi.create`; add your routers to it.

    `settings` are settings by their names in lower case, such as `sign_up=False`.
    """
    container = _on_memory({**_FOR_TESTS, **settings})
    if scopes is not None:
        container.scopes.override(scopes)
    return create_app(container, lifespan=lifespan)


def make_container(settings: Settings) -> Container:
    """Make a container on memory, for `asgi.create` or `ORDERGATE_CONTAINER`."""
    return _on_memory({**settings.model_dump(exclude_unset=True), **_FOR_TESTS})


def _on_memory(settings: Mapping[str, object]) -> Container:
    return Container(settings=Settings.model_validate(settings), storage=InMemoryStorage())


def authorize(
    app: FastAPI,
    user_id: int = 1,
    *,
    scopes: Iterable[str] | None = None,
    client_id: str = "tests",
) -> dict[str, str]:
    """Return the header of a token for any user, who needs no account.

    The default is every scope that the application knows. Raises `ValueError` for other scopes, and
    `TypeError` for an application that `create` has not made.
    """
    if not isinstance(app, Application):
        raise TypeError("a token needs the application that create() returned")
    services: Container = app.state.services
    known = services.known_scopes()
    scope = frozenset(known if scopes is None else scopes)
    if unknown := scope.difference(known):
        raise ValueError(f"the application knows no scope {', '.join(sorted(unknown))}")
    token = services.tokens().issue(Caller(UserId(user_id), client_id, scope)).value
    return {"Authorization": f"Bearer {token}"}


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
