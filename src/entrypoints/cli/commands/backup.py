"""`ordergate backup` and `ordergate restore` of a database file in use."""

from pathlib import Path
from typing import Annotated

import typer

from ordergate.application.ports.archive import Contents, StorageFile
from ordergate.entrypoints.cli.runtime import Failure, load_container, parse_file_path
from ordergate.entrypoints.container import Container

_MEBIBYTE = 2**20

backups = typer.Typer()


@backups.command()
def backup(
    file: Annotated[
        Path,
        typer.Argument(
            parser=parse_file_path, metavar="FILE", help="The file to write; a new one."
        ),
    ],
) -> None:
    """Write all data into a new file and check it.

    Servers may run.
    """
    contents = storage_file(load_container()).backup(file)
    typer.echo(f"Wrote {_describe(contents)} to {file}; it is sound.")


@backups.command()
def restore(
    file: Annotated[
        Path,
        typer.Argument(
            parser=parse_file_path, metavar="FILE", help="What `ordergate backup` wrote."
        ),
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Even if there are users or orders: they are lost.")
    ] = False,
) -> None:
    """Replace all data by that of a backup. Servers may run."""
    contents = storage_file(load_container()).restore(file, replace=replace)
    typer.echo(f"Restored {_describe(contents)} from {file}.")
    if not contents.is_current:
        typer.echo("Its schema is older: run `ordergate migrate`.")


def storage_file(container: Container) -> StorageFile:
    """Return the database file. Raises `Failure` if there is none."""
    file = container.storage_file()
    if file is None:
        raise Failure(
            "this database is not one file, so it cannot be backed up or restored here; "
            "use its own tools: pg_dump and pg_restore for PostgreSQL, mariadb-dump and mariadb"
            " for MariaDB, mysqldump and mysql for MySQL"
        )
    return file


def _describe(contents: Contents) -> str:
    size = contents.size / _MEBIBYTE
    return f"{contents.accounts} users and {contents.orders} orders ({size:.1f} MiB)"
