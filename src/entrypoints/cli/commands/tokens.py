"""`ordergate tokens`: access tokens."""

import asyncio
import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ordergate.application.ports.tokens import TokenCheck, TokenExplainer
from ordergate.entrypoints.cli.runtime import Failure, load_container
from ordergate.entrypoints.config.settings import Settings

tokens = typer.Typer(help="Access tokens.", no_args_is_help=True)

_MAX_BYTES = 1_048_576
_BEFORE = re.compile(r"(authorization\s*:\s*)?bearer\s+", re.IGNORECASE)
_JSON = ("{", "[", '"')
_ON_STANDARD_INPUT = (
    "give the token on standard input, as in `ordergate tokens explain < FILE`; other users of the"
    " system see the arguments of a command"
)


@tokens.callback()
def options() -> None:
    """Keep `explain` a command of its own."""


@tokens.command("explain")
def explain_token(
    argument: Annotated[str | None, typer.Argument(metavar="TOKEN", hidden=True)] = None,
) -> None:
    """Say what each check makes of a token from standard input.

    The settings are those of the service. Nothing is stored, and the token is not shown.
    """
    if argument is not None:
        raise Failure(_ON_STANDARD_INPUT)
    text = sys.stdin.buffer.read(_MAX_BYTES).decode(errors="replace").strip()
    token = _BEFORE.sub("", text, count=1) if _BEFORE.match(text) else text
    if not token:
        raise Failure(_ON_STANDARD_INPUT)
    if token.startswith(_JSON):
        raise Failure("this is JSON, not a token; give the value of access_token alone")
    checks = asyncio.run(_explain(token))
    for check in checks:
        outcome = "ok" if check.failure is None else "REFUSED"
        reason = f": {check.failure}" if check.failure else ""
        typer.echo(f"{check.name:<10} {outcome:<8} {check.found}{reason}")
    failures = sum(check.failure is not None for check in checks)
    if failures:
        raise Failure(f"the token is refused: {failures} of {len(checks)} checks failed")
    typer.echo("The token is accepted.")


async def _explain(token: str) -> Sequence[TokenCheck]:
    container = load_container()
    _require_keys(container.settings())
    verifier = container.verifier()
    if not isinstance(verifier, TokenExplainer):
        raise Failure("the verifier of this service explains no tokens")
    try:
        return await verifier.explain(token)
    finally:
        if not container.settings().issues_tokens:
            for keys in container.remote_keys().values():
                await keys.close()


def _require_keys(settings: Settings) -> None:
    """Refuse to explain own tokens before the first key exists.

    The command does not make a key.
    """
    configured = settings.signing_secret or settings.signing_key_file
    if settings.issues_tokens and not configured and not settings.signing_keys_file.exists():
        raise Failure(
            f"{settings.signing_keys_file} does not exist, so no token is valid; start the service"
            " once, or set ORDERGATE_HOME"
        )
