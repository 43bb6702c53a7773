"""The table of revisions has a name of Ordergate's own.

Alembic needs the table before it runs a revision, so `rename_versions` renames it first.
"""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
