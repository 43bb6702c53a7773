"""Rules of the domain and the use cases, from the settings."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import chain

from ordergate.adapters.passwords.common_passwords import CommonPasswords
from ordergate.adapters.tokens.keys.file_key_ring import LOOK_SECONDS
from ordergate.domain.password_rules import PasswordRules
from ordergate.domain.scope import add_scopes, list_built_in_scopes, require_short_scopes
from ordergate.domain.session import SessionRules
from ordergate.domain.signing_keys import KeySchedule
from ordergate.entrypoints.config.environment import PREFIX
from ordergate.entrypoints.config.loading import SettingsError, suggest
from ordergate.entrypoints.config.settings import Settings

_JWKS_MAX_AGE = timedelta(seconds=300)
"""How long other services may cache the public keys."""


def make_password_rules(settings: Settings) -> PasswordRules:
    """Make the rules for new passwords."""
    return PasswordRules(min_length=settings.min_password_length, common=CommonPasswords())


def make_scopes(settings: Settings, declared: Mapping[str, str]) -> Mapping[str, str]:
    """Return all scopes with their descriptions.

    Raises `InvalidScopeDeclaration`, and `SettingsError` if tokens get scopes that are not among
    them.
    """
    every = add_scopes(declared, built_in=list_built_in_scopes(orders=settings.order_routes))
    if settings.issues_tokens:
        require_short_scopes(every)
    given = {
        "scope_map": dict.fromkeys(chain.from_iterable(settings.scope_map.values())),
        "default_scope": settings.default_scope,
    }
    problems = [
        f"{PREFIX}{name.upper()}: the scope {scope} is not declared; declare it by"
        f' create(scopes={{"{scope}": "…"}}), or correct its name{suggest(scope, every)}'
        for name, scopes in given.items()
        for scope in scopes
        if scope not in every
    ]
    if problems:
        raise SettingsError(problems)
    return every


def make_session_rules(settings: Settings) -> SessionRules:
    """Make the rules for the life of sessions."""
    return SessionRules(
        idle=timedelta(seconds=settings.refresh_idle_seconds),
        lifetime=timedelta(seconds=settings.session_seconds),
        grace=timedelta(seconds=settings.refresh_grace_seconds),
        limit=settings.sessions_per_user,
    )


def make_key_schedule(settings: Settings) -> KeySchedule:
    """Make the waiting times between the statuses of a signing key.

    A process may sign until its next check of the file, and times are stored in whole seconds.
    """
    seconds = settings.access_token_seconds + settings.leeway_seconds + LOOK_SECONDS + 1
    return KeySchedule(cache_time=_JWKS_MAX_AGE, token_time=timedelta(seconds=seconds))


def get_idempotency_key_lifetime(settings: Settings) -> timedelta:
    """Return how long an idempotency key is remembered."""
    return timedelta(seconds=settings.idempotency_seconds)


def get_access_token_lifetime(settings: Settings) -> timedelta:
    """Return how long an access token is accepted, by clocks that differ."""
    return timedelta(seconds=settings.access_token_seconds + settings.leeway_seconds)


def has_revocation(settings: Settings) -> bool:
    """Return whether access tokens are refused after their session ends."""
    return settings.revocation != "until-expiry"
