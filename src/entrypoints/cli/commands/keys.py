"""`ordergate keys`: the life cycle of the signing keys."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from ordergate.application.keys.key_changes import ChangedKey
from ordergate.domain.errors import KeyAlreadyPresent, KeyChangeTooEarly, UnknownKey
from ordergate.domain.signing_keys import KeyId, KeyStatus
from ordergate.entrypoints.cli.listing import AsJson, print_list, write_time
from ordergate.entrypoints.cli.runtime import Failure, parse_file_path, require_token_issuer
from ordergate.entrypoints.container import Container

keys = typer.Typer(help="Signing keys.", no_args_is_help=True)

Kid = Annotated[str, typer.Argument(metavar="KID", help="The key's id, as `keys list` shows it.")]


@keys.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """Show every key and its status: published, signing or verifying."""
    print_list(
        ("kid", "algorithm", "status", "since"),
        [
            (key.id, key.algorithm, key.status.value, key.since)
            for key in require_token_issuer().list_signing_keys()()
        ],
        as_json=as_json,
    )


@keys.command("new")
def publish_key(
    algorithm: Annotated[
        Literal["ES256", "EdDSA", "RS256"] | None,
        typer.Option(help="That of the signing key by default, and ES256 for the first key."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=parse_file_path,
            metavar="FILE",
            help="Take the private key of a PEM file.",
        ),
    ] = None,
) -> None:
    """Publish a new key, to be promoted later.

    It may sign when every verifier has had time to read it. The first key of all signs immediately.
    """
    if file and algorithm:
        raise typer.BadParameter("--from and --algorithm exclude each other")
    container = require_token_issuer()
    with _explain_refusals():
        if file:
            _print(container.import_signing_key()(file))
        else:
            _print(container.publish_signing_key()(algorithm))


# A key's id may begin with a dash, and must not be taken for options such as -h then.
_WITH_KID = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


@keys.command("promote", context_settings=_WITH_KID)
def promote_key(
    kid: Kid,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Even if some verifiers may not know the key yet.")
    ] = False,
) -> None:
    """Let a published key sign.

    The previous key only verifies from then on.
    """
    with _explain_refusals(early="promote it with --now"):
        _print(_require_any_key(kid).promote_signing_key()(KeyId(kid), early=now))


@keys.command("retire", context_settings=_WITH_KID)
def retire_key(
    kid: Kid,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Even if that ends valid tokens, as for a stolen key.")
    ] = False,
) -> None:
    """Remove a published key, or one whose tokens have all expired."""
    with _explain_refusals(early="end them immediately with --now"):
        _print(_require_any_key(kid).retire_signing_key()(KeyId(kid), early=now))


@keys.command("rotate")
def rotate_keys(
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Let a new key sign immediately; tokens stay valid.")
    ] = False,
) -> None:
    """Apply every due change and print when the next is due.

    Made for cron.
    """
    rotation = require_token_issuer().rotate_signing_keys()(early=now)
    _print(rotation.changed)
    done = "" if rotation.changed else "Nothing is due. "
    due = rotation.next_due
    when = f"at {write_time(due)} or later" if due else "to begin a rotation"
    typer.echo(f"{done}Run it again {when}.")


def _require_any_key(kid: str) -> Container:
    """Return the container; without any key, raise `UnknownKey` and make no file."""
    container = require_token_issuer()
    if not container.list_signing_keys()():
        raise UnknownKey(f"there is no key {kid}")
    return container


@contextmanager
def _explain_refusals(*, early: str = "") -> Iterator[None]:
    """Explain what to do after a refused change."""
    try:
        yield
    except KeyChangeTooEarly as error:
        raise Failure(f"{error}; wait, or {early}") from None
    except UnknownKey as error:
        raise Failure(f"{error}; `ordergate keys list` shows those there are") from None
    except KeyAlreadyPresent as error:
        raise Failure(f"{error}; see `ordergate keys list`") from None


def _print(changed: Iterable[ChangedKey]) -> None:
    for key, due in ((each.key, write_time(each.due)) for each in changed):
        match key.status:
            case KeyStatus.PUBLISHED:
                typer.echo(f"{key.id} is published; it may sign from {due}.")
            case KeyStatus.VERIFYING:
                typer.echo(f"{key.id} only verifies; its tokens have expired by {due}.")
            case KeyStatus.SIGNING:
                typer.echo(f"{key.id} signs.")
            case KeyStatus.REMOVED:
                typer.echo(f"{key.id} is removed.")
