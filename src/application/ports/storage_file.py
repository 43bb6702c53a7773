"""The one file that holds everything, where a storage is kept in one."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file: accounts, closed ones included, orders, and its size in bytes.

    `is_current` tells whether the schema is that of this program; if not, it is older.
    """

    accounts: int
    orders: int
    size: int
    is_current: bool


class StorageFile(Protocol):
    """A file that is copied and replaced while servers use it.

    For commands: every method blocks. Raises `StorageUnavailable` from any of them.
    """

    @abstractmethod
    def check(self, *, seconds: float | None) -> bool:
        """Check the integrity for at most `seconds`; return whether the check completed.

        `None` sets no limit. A missing file counts as intact. Raises `StorageUnavailable` for
        damage; the message names the file and says what to do.
        """

    @abstractmethod
    def backup(self, file: Path) -> Contents:
        """Write what was committed by now into a new file, for its owner alone to read.

        It is checked as a whole, and on the disk when this returns; until then there is no such
        file. Raises `BackupRefused` when there is one already or the storage is damaged.
        """

    @abstractmethod
    def restore(self, file: Path, *, replace: bool) -> Contents:
        """Put what a backup holds in the place of everything, in one step for all who read.

        An id that an account has had since is not given again, unless damage hides it. Raises
        `BackupRefused` for what is no sound backup of this program or an older one and, unless it
        is to `replace` them, when there are users or orders; nothing is changed then.
        """
