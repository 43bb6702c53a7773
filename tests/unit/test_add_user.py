import pytest

from adapters.memory import InMemoryStorage
from application.add_user import AddUser
from application.errors import UsernameTaken
from application.ports import UserRepository
from domain.errors import InvalidPassword, InvalidUsername
from domain.user import Password, Username
from tests.doubles import InstantPasswordHasher


@pytest.fixture
def users() -> UserRepository:
    return InMemoryStorage().users


async def test_an_account_is_opened_with_a_hash_of_the_password(
    users: UserRepository,
) -> None:
    hasher = InstantPasswordHasher()
    added = await AddUser(users, hasher)("Alice", "a good password")
    assert added == await users.find(Username("alice"))
    assert (await hasher.verify(Password("a good password"), added.password_hash)).matches


async def test_a_taken_name_is_refused(users: UserRepository) -> None:
    add_user = AddUser(users, InstantPasswordHasher())
    first = await add_user("alice", "first password")
    with pytest.raises(UsernameTaken):
        await add_user("ALICE", "second password")
    assert await users.find(Username("alice")) == first


async def test_what_cannot_be_a_name_or_a_password_is_refused(
    users: UserRepository,
) -> None:
    add_user = AddUser(users, InstantPasswordHasher())
    with pytest.raises(InvalidUsername):
        await add_user("a b", "password")
    with pytest.raises(InvalidPassword):
        await add_user("alice", "")
    assert await users.find(Username("alice")) is None
