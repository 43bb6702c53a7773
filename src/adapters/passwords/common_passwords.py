"""The passwords that are guessed first."""

from collections.abc import Container


class CommonPasswords(Container[str]):
    """The 30,000 most common passwords, in lower case, as zxcvbn counted them in leaked lists.

    The list is loaded when it is first looked into: most processes never set a password.
    """

    def __init__(self) -> None:
        self._passwords: Container[str] | None = None

    def __contains__(self, password: object) -> bool:
        if self._passwords is None:
            from zxcvbn.frequency_lists import (  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.8 MB
                FREQUENCY_LISTS,
            )

            self._passwords = frozenset(FREQUENCY_LISTS["passwords"])
        return password in self._passwords
