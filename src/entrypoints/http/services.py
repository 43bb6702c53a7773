"""The parts of the service that the HTTP side uses."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import chain
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from ordergate.application.accounts.change_password import ChangePassword
from ordergate.application.accounts.close_account import CloseAccount
from ordergate.application.accounts.get_account import GetAccount
from ordergate.application.accounts.register_user import RegisterUser
from ordergate.application.orders.cancel_order import CancelOrder
from ordergate.application.orders.get_own_order import GetOwnOrder
from ordergate.application.orders.list_own_orders import ListOwnOrders
from ordergate.application.orders.place_order import PlaceOrder
from ordergate.application.ports.rate_limits import RateLimiter
from ordergate.application.ports.storage import SeparateOrders, Storage
from ordergate.application.ports.tokens import PublicKeys
from ordergate.application.purpose_keys import PurposeKeys
from ordergate.application.sessions.authenticate_user import AuthenticateUser
from ordergate.application.sessions.end_all_sessions import EndAllSessions
from ordergate.application.sessions.end_session import EndSession
from ordergate.application.sessions.identify_caller import IdentifyCaller
from ordergate.application.sessions.list_sessions import ListSessions
from ordergate.application.sessions.refresh_session import RefreshSession
from ordergate.application.sessions.revoke_token import RevokeToken
from ordergate.domain.signing_keys import KeySchedule
from ordergate.entrypoints.config.settings import Settings
from ordergate.entrypoints.http.application import Application
from ordergate.entrypoints.http.mounted import list_mounted

SERVICES = "ordergate.services"
"""The key in the scope of a request."""

BESIDE = "ordergate_services"
"""The name in the state of an application that is mounted beside Ordergate."""


class Services(Protocol):
    """Each member is a function that returns a part of the service.

    `running_service` opens the parts on entry and closes them on exit.
    """

    @property
    def settings(self) -> Callable[[], Settings]: ...
    @property
    def known_scopes(self) -> Callable[[], Mapping[str, str]]: ...
    @property
    def storage(self) -> Callable[[], Storage]: ...
    @property
    def separate_orders(self) -> Callable[[], SeparateOrders | None]: ...
    @property
    def purpose_keys(self) -> Callable[[], PurposeKeys]: ...
    @property
    def signing_keys(self) -> Callable[[], PublicKeys]: ...
    @property
    def key_schedule(self) -> Callable[[], KeySchedule]: ...
    @property
    def rate_limiter(self) -> Callable[[], RateLimiter | None]: ...
    @property
    def running_service(self) -> Callable[[], AbstractAsyncContextManager[None]]: ...
    @property
    def identify_caller(self) -> Callable[[], IdentifyCaller]: ...
    @property
    def authenticate_user(self) -> Callable[[], AuthenticateUser]: ...
    @property
    def refresh_session(self) -> Callable[[], RefreshSession]: ...
    @property
    def revoke_token(self) -> Callable[[], RevokeToken]: ...
    @property
    def list_sessions(self) -> Callable[[], ListSessions]: ...
    @property
    def end_session(self) -> Callable[[], EndSession]: ...
    @property
    def end_all_sessions(self) -> Callable[[], EndAllSessions]: ...
    @property
    def register_user(self) -> Callable[[], RegisterUser]: ...
    @property
    def get_account(self) -> Callable[[], GetAccount]: ...
    @property
    def change_password(self) -> Callable[[], ChangePassword]: ...
    @property
    def close_account(self) -> Callable[[], CloseAccount]: ...
    @property
    def place_order(self) -> Callable[[], PlaceOrder]: ...
    @property
    def get_own_order(self) -> Callable[[], GetOwnOrder]: ...
    @property
    def list_own_orders(self) -> Callable[[], ListOwnOrders]: ...
    @property
    def cancel_order(self) -> Callable[[], CancelOrder]: ...


def get_services(connection: HTTPConnection) -> Services:
    """Return the services that a request is for.

    The edge middleware binds them to the scope, which mounted applications share. A route beside a
    mounted Ordergate finds them there, and the start binds them to applications beside it. Raises
    `RuntimeError` without any.
    """
    services: Services | None = connection.scope.get(SERVICES)
    return services or _find_services(connection.app)


def _find_services(app: Starlette) -> Services:
    for candidate in chain([app], list_mounted(app.routes)):
        is_own = isinstance(candidate, Application)
        found = candidate.state.services if is_own else getattr(candidate.state, BESIDE, None)
        if found:
            services: Services = found
            return services
    raise RuntimeError(
        "This route needs Ordergate: include its router in the application of create(), or mount"
        " one of the two applications below the other."
    )
