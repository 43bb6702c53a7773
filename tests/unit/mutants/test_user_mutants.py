"""Faults of repositories of accounts."""

import asyncio
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ordergate.adapters.memory import InMemoryUserRepository, Tables
from ordergate.application.errors import AccountHasOpenOrders, UsernameTaken
from ordergate.application.ports.users import PasswordChange
from ordergate.domain.session import SessionEndReason, SessionId
from ordergate.domain.user import PasswordHash, User, UserId, Username
from tests.unit.mutants.kit import caught_by

# Ids


@caught_by(
    "test_new_account_replaces_no_loaded_one_when_ids_have_gaps",
    "test_new_account_replaces_no_written_one_when_ids_have_gaps",
)
class NumbersAccountsByCounting(InMemoryUserRepository):
    """An id is the number of accounts, plus one."""

    def _choose_free_id(self) -> UserId:
        tables = self._tables
        return UserId(len(tables.users) + len(tables.closed) + len(tables.external) + 1)


@caught_by("test_id_of_a_closed_account_is_never_given_again")
class NumbersAccountsFromTheLastOpenOne(InMemoryUserRepository):
    """A closed account is not checked."""

    def _choose_free_id(self) -> UserId:
        return UserId(max({*self._tables.users, *self._tables.external}, default=0) + 1)


@caught_by(
    "test_new_users_have_new_ids_when_users_were_loaded",
    "test_new_account_replaces_no_loaded_one_when_ids_have_gaps",
    "test_new_accounts_have_other_ids_than_written_ones",
)
class KeepsASequenceThatALoadDoesNotAdvance(InMemoryUserRepository):
    """The sequence always starts at 1."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._last = 0

    def _choose_free_id(self) -> UserId:
        self._last += 1
        return UserId(self._last)


@caught_by("test_new_account_replaces_no_loaded_one_when_ids_have_gaps")
class ContinuesFromTheAccountStoredLast(InMemoryUserRepository):
    """The last stored account does not have the largest id."""

    def _choose_free_id(self) -> UserId:
        tables = self._tables
        last = [*tables.users][-1:] + sorted(tables.closed | tables.external)[-1:]
        return UserId(max(last, default=0) + 1)


@caught_by("test_parallel_registrations_have_different_ids")
class DrawsAnIdBeforeItIsTaken(InMemoryUserRepository):
    """Another account takes the id between drawing it and storing it."""

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        user_id = self._choose_free_id()
        await asyncio.sleep(0)
        if await self.find(username):
            raise UsernameTaken
        user = self._tables.users[user_id] = User(user_id, username, password_hash)
        return user


# Names


@caught_by("test_similar_names_are_of_different_accounts[sharp s]")
class ComparesNamesByCaseFolding(InMemoryUserRepository):
    """`straße` finds `strasse`."""

    async def find(self, username: Username) -> User | None:
        users = self._tables.users.values()
        name = username.value.casefold()
        return next((user for user in users if user.username.value.casefold() == name), None)


@caught_by("test_similar_names_are_of_different_accounts[diaeresis]")
class ComparesNamesWithoutAccents(InMemoryUserRepository):
    """The default collation of MySQL."""

    async def find(self, username: Username) -> User | None:
        users = self._tables.users.values()
        name = _without_accents(username.value)
        return next((user for user in users if _without_accents(user.username.value) == name), None)


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@caught_by("test_similar_names_are_of_different_accounts[last character]")
class ComparesTheFirst32CharactersOfNames(InMemoryUserRepository):
    """The key of the index is cut."""

    async def find(self, username: Username) -> User | None:
        users = self._tables.users.values()
        name = username.value[:32]
        return next((user for user in users if user.username.value[:32] == name), None)


@caught_by("test_name_is_taken_by_one_account")
class OverwritesAnAccountOfTheSameName(InMemoryUserRepository):
    """An upsert by name."""

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        there = await self.find(username)
        user = User(there.id if there else self._choose_free_id(), username, password_hash)
        self._tables.users[user.id] = user
        return user


@caught_by(
    "test_parallel_registrations_of_a_name_succeed_once",
    "test_parallel_registrations_of_a_name_succeed_once_in_two_processes",
)
class ChecksANameBeforeItWrites(InMemoryUserRepository):
    """The name is not reserved between the check and the write."""

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        if await self.find(username):
            raise UsernameTaken
        await asyncio.sleep(0)
        user_id = self._choose_free_id()
        user = self._tables.users[user_id] = User(user_id, username, password_hash)
        return user


@caught_by("test_parallel_registrations_of_a_name_succeed_once_in_two_processes")
class LocksANameInOneProcess(InMemoryUserRepository):
    """A lock of this process does not hold another."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._lock = asyncio.Lock()

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        async with self._lock:
            if await self.find(username):
                raise UsernameTaken
            await asyncio.sleep(0)
            return await super().add(username, password_hash)

    async def find(self, username: Username) -> User | None:
        found = await super().find(username)
        await asyncio.sleep(0)
        return found


# Passwords


@caught_by("test_hash_is_kept_when_it_has_changed")
class ReplacesAHashWithoutComparing(InMemoryUserRepository):
    """The old hash is not in the condition."""

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        user = self._tables.users.get(user_id)
        if user is None:
            return False
        self._tables.users[user_id] = replace(user, password_hash=new)
        return True


@caught_by("test_parallel_replacements_of_a_hash_succeed_once")
class ReplacesAHashInTwoSteps(InMemoryUserRepository):
    """The comparison and the write are two transactions."""

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        user = self._tables.users.get(user_id)
        await asyncio.sleep(0)
        if user is None or user.password_hash != old:
            return False
        self._tables.users[user_id] = replace(user, password_hash=new)
        return True


@caught_by("test_change_by_another_process_is_visible")
class CachesAccounts(InMemoryUserRepository):
    """Another process changes the hash, and this one keeps the old account."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._cache: dict[UserId, User | None] = {}

    async def get(self, user_id: UserId) -> User | None:
        if user_id not in self._cache:
            self._cache[user_id] = await super().get(user_id)
        return self._cache[user_id]

    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        self._cache.pop(user_id, None)
        return await super().replace_password_hash(user_id, old=old, new=new)


@caught_by("test_changed_password_ends_all_sessions_but_one")
class EndsEverySessionWithThePassword(InMemoryUserRepository):
    """The session of the caller ends too."""

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        return await super().change_password(replace(change, keep=None))


@caught_by("test_every_ending_is_kept_with_its_time_and_reason")
class EndsSessionsForTheWrongReason(InMemoryUserRepository):
    """A change of the password is recorded as a sign-out."""

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        if not await self.replace_password_hash(change.user, old=change.old, new=change.new):
            return None
        others = [
            each for each in self._tables.list_user_sessions(change.user) if each.id != change.keep
        ]
        return self._tables.end(others, SessionEndReason.SIGNED_OUT, change.at)


@caught_by("test_every_ending_is_kept_with_its_time_and_reason")
class KnowsOneReasonForANewHash(InMemoryUserRepository):
    """Sessions of a disabled account end for a change of the password."""

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        return await super().change_password(
            replace(change, reason=SessionEndReason.PASSWORD_CHANGED)
        )


@caught_by("test_open_accounts_are_listed_by_id")
class ListsAccountsFromAnId(InMemoryUserRepository):
    """A page begins with the last account of the page before."""

    async def list_accounts(self, *, after: UserId, limit: int) -> Sequence[User]:
        return await super().list_accounts(after=UserId(after - 1), limit=limit)


@caught_by("test_every_ending_is_kept_with_its_time_and_reason")
class RemovesSessionsWithThePassword(InMemoryUserRepository):
    """Sessions are deleted, so `ended_since` lacks them and access tokens remain."""

    async def change_password(self, change: PasswordChange) -> Sequence[SessionId] | None:
        ended = await super().change_password(change)
        _remove(self._tables, ended or ())
        return ended


def _remove(tables: Tables, sessions: Sequence[SessionId]) -> None:
    for session in sessions:
        del tables.sessions[session]
        tables.endings.pop(session, None)
    for digest in [d for d, token in tables.tokens.items() if token.session in sessions]:
        del tables.tokens[digest]


# Closing


@caught_by("test_every_ending_is_kept_with_its_time_and_reason")
class RemovesSessionsWithTheAccount(InMemoryUserRepository):
    """`ON DELETE CASCADE`: access tokens of a closed account live on."""

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        ended = await super().close(user_id, password_hash=password_hash, at=at)
        _remove(self._tables, ended or ())
        return ended


@caught_by("test_closed_account_leaves_its_orders_and_no_name")
class KeepsTheNameOfAClosedAccount(InMemoryUserRepository):
    """The name stays taken for ever."""

    async def add(self, username: Username, password_hash: PasswordHash) -> User:
        if username in getattr(self, "_names", ()):
            raise UsernameTaken
        return await super().add(username, password_hash)

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        user = await self.get(user_id)
        ended = await super().close(user_id, password_hash=password_hash, at=at)
        self._names = {user.username} if user else set()
        return ended


@caught_by("test_account_with_an_open_order_is_not_closed[shipped]")
class ClosesAnAccountWithAShippedOrder(InMemoryUserRepository):
    """Open is taken for what can be cancelled."""

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        orders = self._tables.orders
        shipped = {key: order for key, order in orders.items() if order.status == "shipped"}
        for key in shipped:
            del orders[key]
        try:
            return await super().close(user_id, password_hash=password_hash, at=at)
        finally:
            orders.update(shipped)


@caught_by("test_write_changes_nothing_when_any_step_fails[close_an_account]")
class MixesUpWhoHasOpenOrders(InMemoryUserRepository):
    """An open order of anyone keeps every account open."""

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        if any(order.is_open for order in self._tables.orders.values()):
            raise AccountHasOpenOrders
        return await super().close(user_id, password_hash=password_hash, at=at)


@caught_by("test_account_with_an_open_order_is_never_closed")
class LooksForOpenOrdersBeforeItCloses(InMemoryUserRepository):
    """An order is placed between the look and the closing."""

    async def close(
        self, user_id: UserId, *, password_hash: PasswordHash, at: datetime
    ) -> Sequence[SessionId] | None:
        tables = self._tables
        orders = tables.orders.values()
        if any(order.owner == user_id and order.is_open for order in orders):
            raise AccountHasOpenOrders
        await asyncio.sleep(0)
        user = tables.users.get(user_id)
        if user is None or user.password_hash != password_hash:
            return None
        del tables.users[user_id]
        tables.closed.add(user_id)
        return tables.end(tables.list_user_sessions(user_id), SessionEndReason.ACCOUNT_CLOSED, at)


# Subjects of other issuers


class _Subjects(InMemoryUserRepository):
    """Compares issuers and subjects by `_key`."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer, subject

    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        key = self._key(issuer, subject)
        for stored, user in self._tables.subjects.items():
            if self._key(*stored) == key:
                return user
        return await super().get_or_create_by_subject(issuer, subject)


@caught_by("test_issuers_and_subjects_are_compared_exactly[https://id.example/-zo\\xeb]")
class ComparesSubjectsWithoutCase(_Subjects):
    """`Zoë` and `zoë` are two subjects."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer, subject.lower()


@caught_by("test_issuers_and_subjects_are_compared_exactly[https://ID.example/-Zo\\xeb]")
class ComparesIssuersWithoutCase(_Subjects):
    """As a host name would be compared."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer.lower(), subject


@caught_by("test_issuers_and_subjects_are_compared_exactly[https://id.example/- Zo\\xeb]")
class StripsSubjects(_Subjects):
    """White space is part of a subject."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer, subject.lstrip()


@caught_by("test_issuers_and_subjects_are_compared_exactly[https://id.example/-Zoe]")
class ComparesSubjectsWithoutAccents(_Subjects):
    """The default collation of MySQL."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer, _without_accents(subject)


@caught_by("test_subjects_that_differ_in_the_last_character_are_different[subject]")
class ComparesTheFirst191CharactersOfSubjects(_Subjects):
    """The longest key of a MySQL index, in characters of 4 bytes."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer, subject[:191]


@caught_by("test_joined_values_are_not_confused")
class JoinsIssuerAndSubject(_Subjects):
    """`ab` and `c` are stored as `a` and `bc` are."""

    def _key(self, issuer: str, subject: str) -> tuple[str, str]:
        return issuer + subject, ""


@caught_by(
    "test_subject_has_one_account_when_it_is_seen_in_parallel",
    "test_subject_has_one_account_when_two_processes_see_it_in_parallel",
)
class LooksForASubjectBeforeItWrites(InMemoryUserRepository):
    """Two accounts for one subject, of which one is lost."""

    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        if known := self._tables.subjects.get((issuer, subject)):
            return known
        await asyncio.sleep(0)
        user = self._tables.subjects[issuer, subject] = self._choose_free_id()
        self._tables.external.add(user)
        return user


@caught_by("test_external_account_takes_no_user_name")
class GivesASubjectAUserName(InMemoryUserRepository):
    """The subject is stored as the name of its account."""

    async def get_or_create_by_subject(self, issuer: str, subject: str) -> UserId:
        user = await super().get_or_create_by_subject(issuer, subject)
        self._tables.users[user] = User(user, Username(subject), PasswordHash("!"))
        return user
