"""The most common passwords."""

from collections.abc import Container
from importlib import import_module


class CommonPasswords(Container[str]):
    """The 30,000 most common passwords, in lower case, from zxcvbn's list.

    zxcvbn counted them in leaked lists. The list is loaded at the first look-up, because most
    processes set no password.
    """

    def __init__(self) -> None:
        self._passwords: Container[str] | None = None

    def __contains__(self, password: object) -> bool:
        if self._passwords is None:
            lists = import_module("zxcvbn.frequency_lists")  # 0.8 MB
            self._passwords = frozenset(lists.FREQUENCY_LISTS["passwords"])
        return password in self._passwords
