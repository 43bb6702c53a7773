import pytest

from adapters.memory import InMemoryStorage, InMemoryUserRepository
from application.authenticate_user import AuthenticateUser
from application.errors import InvalidCredentials, StorageUnavailable
from application.ports import Caller
from domain.user import Password, PasswordHash, User, UserId, Username
from tests.doubles import InstantPasswordHasher, SettableClock, TableTokenIssuer

PASSWORD = "correct horse battery staple"


class World:
    """One user, `alice`, and the use case."""

    def __init__(self) -> None:
        self.users = InMemoryStorage().users
        self.hasher = InstantPasswordHasher(work=2)
        self.tokens = TableTokenIssuer(SettableClock())
        self.sign_in = AuthenticateUser(self.users, self.hasher, self.tokens)

    async def add_alice(self, password_hash: PasswordHash | None = None) -> User:
        stored = password_hash or await self.hasher.hash(Password(PASSWORD))
        return await self.users.add(Username("alice"), stored)


@pytest.fixture
def world() -> World:
    return World()


async def test_name_and_password_give_a_token_for_the_user(world: World) -> None:
    alice = await world.add_alice()
    token = await world.sign_in("Alice", PASSWORD, client_id="shop")
    assert await world.tokens.verify(token.value) == Caller(alice.id, "shop")
    assert token.expires_in == 900


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong"),
        ("alice", PASSWORD + " "),
        ("bob", PASSWORD),
        ("", PASSWORD),
        ("alice", ""),
        ("alice", "a\0b"),
        ("alice", "\ud800"),
        ("alice", "x" * 5000),
        ("\ud800", PASSWORD),
        ("x" * 10_000, PASSWORD),
    ],
)
async def test_anything_else_is_refused_alike_after_one_comparison(
    world: World, username: str, password: str
) -> None:
    await world.add_alice()
    with pytest.raises(InvalidCredentials) as refusal:
        await world.sign_in(username, password, client_id="shop")
    assert str(refusal.value) == ""
    assert len(world.hasher.verified) == 1


async def test_a_stand_in_password_opens_no_account(world: World) -> None:
    await world.add_alice(await world.hasher.hash(Password("nobody's password")))
    with pytest.raises(InvalidCredentials):
        await world.sign_in("alice", "\0", client_id="shop")


async def test_a_weak_hash_is_replaced_when_its_owner_signs_in(world: World) -> None:
    alice = await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    await world.sign_in("alice", PASSWORD, client_id="shop")
    stored = await world.users.find(alice.username)
    assert stored is not None
    assert stored.password_hash.startswith("2$")
    await world.sign_in("alice", PASSWORD, client_id="shop")


async def test_a_wrong_guess_replaces_nothing(world: World) -> None:
    alice = await world.add_alice(PasswordHash(f"1$salt${PASSWORD}"))
    with pytest.raises(InvalidCredentials):
        await world.sign_in("alice", "wrong", client_id="shop")
    assert await world.users.find(alice.username) == alice


class FullUserRepository(InMemoryUserRepository):
    async def replace_password_hash(
        self, user_id: UserId, *, old: PasswordHash, new: PasswordHash
    ) -> bool:
        raise StorageUnavailable("the disk is full")


async def test_an_upgrade_that_cannot_be_stored_keeps_nobody_out() -> None:
    users = FullUserRepository({}, {})
    tokens = TableTokenIssuer(SettableClock())
    alice = await users.add(Username("alice"), PasswordHash(f"1$salt${PASSWORD}"))
    sign_in = AuthenticateUser(users, InstantPasswordHasher(work=2), tokens)
    token = await sign_in("alice", PASSWORD, client_id="shop")
    assert await tokens.verify(token.value) == Caller(alice.id, "shop")
