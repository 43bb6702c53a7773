"""The file of a storage that is one file."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a file: accounts (with closed ones), orders, bytes.

    `is_current` says whether the schema is that of this program; otherwise it is older.
    """

    accounts: int
    orders: int
    size: int
    is_current: bool


class StorageFile(Protocol):
    """A file that is copied and restored while servers use it.

    It is for commands: every method blocks. Every method may raise `StorageUnavailable`.
    """

    @abstractmethod
    def check(self, *, seconds: float | None) -> bool:
        """Check the integrity for at most `seconds`; return whether the check completed.

        `None` sets no limit. A missing file counts as intact. Raises `StorageUnavailable` for
        damage; the message names the file and says what to do.
        """

    @abstractmethod
    def backup(self, file: Path) -> Contents:
        """Write all committed data into a new file, readable by its owner.

        The file gets its name after a complete check and after it is on the disk. Raises
        `BackupRefused` when the file exists or the storage is damaged.
        """

    @abstractmethod
    def restore(self, file: Path, *, replace: bool) -> Contents:
        """Replace all data by that of a backup, in one transaction.

        Account ids that were assigned since are not assigned again, unless damage hides them.
        Raises `BackupRefused` for a file that is not a sound backup of this or an older version,
        and for users or orders without `replace`; nothing is changed then.
        """
