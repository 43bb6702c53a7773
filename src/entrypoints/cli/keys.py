"""`ordergate keys`: the life of the signing keys."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ordergate.entrypoints.cli.runtime import Failure, file_path, require_token_issuer
from ordergate.entrypoints.config.settings import Settings

keys = typer.Typer(help="Signing keys.", no_args_is_help=True)

Kid = Annotated[str, typer.Argument(metavar="KID", help="The key's id, as `keys list` shows it.")]


@keys.command("list")
def list_keys() -> None:
    """Show every key and where it is in its life: published, signing or verifying."""
    container = require_token_issuer()
    settings = container.settings()
    if _static_key(settings):
        key = container.signing_keys().signing()
        rows = [(key.kid, key.algorithm, "signing", "-")]
    else:
        rows = [
            (each.kid, each.key.algorithm, str(each.status), _time(each.since))
            for each in container.signing_keys().all_keys()
        ]
    for kid, algorithm, status, since in [("KID", "ALGORITHM", "STATUS", "SINCE"), *rows]:
        typer.echo(f"{kid:<43}  {algorithm:<9}  {status:<9}  {since}")


@keys.command("new")
def new_key(
    algorithm: Annotated[
        Literal["EdDSA", "ES256", "RS256"] | None,
        typer.Option(help="What the key signs with; EdDSA if nothing is said."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from", parser=file_path, metavar="FILE", help="Take the private key of a PEM file."
        ),
    ] = None,
) -> None:
    """Publish a new key, which may sign once everybody has had time to learn of it.

    The first key of all signs immediately.
    """
    if file and algorithm:
        raise typer.BadParameter("--from and --algorithm exclude each other")
    ring = _key_ring()
    _tell(ring, ring.publish_from(file) if file else ring.publish(algorithm or "EdDSA"))


# A key's id may begin with a dash, and must not be taken for an option then.
_WITH_KID = {"ignore_unknown_options": True}


@keys.command("promote", context_settings=_WITH_KID)
def promote_key(
    kid: Kid,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Even if some verifiers may not know the key yet.")
    ] = False,
) -> None:
    """Let a published key sign; the one that signed only verifies from then on."""
    ring = _key_ring()
    _tell(ring, ring.promote(kid, early=now))


@keys.command("retire", context_settings=_WITH_KID)
def retire_key(
    kid: Kid,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Even if that ends tokens that are good: a stolen key.")
    ] = False,
) -> None:
    """Remove a published key, or one whose tokens have all expired."""
    ring = _key_ring()
    _tell(ring, ring.retire(kid, early=now))


@keys.command("rotate")
def rotate_keys(
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Let a new key sign immediately; tokens stay valid.")
    ] = False,
) -> None:
    """Take the steps of a rotation that are due, and say when the next one is; made for cron."""
    ring = _key_ring()
    changed = ring.rotate(early=now)
    _tell(ring, changed)
    due = min((due for key in ring.all_keys() if (due := ring.due(key))), default=None)
    done = "" if changed else "Nothing is due. "
    when = f"at {_time(due)} or later" if due else "to begin a rotation"
    typer.echo(f"{done}Run it again {when}.")


def _key_ring() -> Any:  # noqa: ANN401 - adapters are known to the container alone
    container = require_token_issuer()
    if variable := _static_key(container.settings()):
        raise Failure(f"{variable} holds the one key; unset it to let `ordergate keys` keep keys")
    return container.signing_keys()


def _static_key(settings: Settings) -> str | None:
    """Name the variable that holds the only key there is, if one does."""
    if settings.signing_secret is not None:
        return "ORDERGATE_SIGNING_SECRET"
    return "ORDERGATE_SIGNING_KEY_FILE" if settings.signing_key_file is not None else None


def _tell(ring: Any, changed: Iterable[Any]) -> None:  # noqa: ANN401 - see _key_ring
    for key in changed:
        due = _time(ring.due(key)) if ring.due(key) else None
        match str(key.status):
            case "published":
                typer.echo(f"{key.kid} is published; it may sign from {due}.")
            case "verifying":
                typer.echo(f"{key.kid} only verifies; its tokens have expired by {due}.")
            case "signing":
                typer.echo(f"{key.kid} signs.")
            case _:
                typer.echo(f"{key.kid} is gone.")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
