"""The use cases of staff, made of the parts of any container."""

from ordergate.application.staff.account_access import DisableAccount, EnableAccount
from ordergate.application.staff.find_order import FindOrder
from ordergate.application.staff.list_accounts import ListAccounts
from ordergate.application.staff.replace_hash import ReplaceHash
from ordergate.application.staff.set_password import SetPassword
from ordergate.entrypoints.container import Container


class StaffUseCases:
    """The use cases of the command line alone, made when used."""

    def __init__(self, container: Container) -> None:
        self._parts = container

    @property
    def list_accounts(self) -> ListAccounts:
        """List accounts."""
        return ListAccounts(self._parts.users())

    @property
    def set_password(self) -> SetPassword:
        """Set a user's password."""
        return SetPassword(self._parts.hasher(), self._parts.password_rules(), self._replace_hash)

    @property
    def disable_account(self) -> DisableAccount:
        """Disable an account."""
        return DisableAccount(self._replace_hash)

    @property
    def enable_account(self) -> EnableAccount:
        """Enable a disabled account."""
        return EnableAccount(self._parts.users(), self._parts.audit())

    @property
    def find_order(self) -> FindOrder:
        """Find an order by its id."""
        return FindOrder(self._parts.orders(), self._parts.staff_orders())

    @property
    def _replace_hash(self) -> ReplaceHash:
        return ReplaceHash(self._parts.users(), self._parts.clock(), self._parts.audit())
