from datetime import timedelta

from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.maintenance.purge_storage import Purged, PurgeStorage
from ordergate.application.ports.orders import IdempotencyKey
from ordergate.domain.session import SessionEndReason
from ordergate.domain.user import PasswordHash, Username
from tests.support.builders import AT, HASH, a_session, an_order
from tests.support.doubles import SettableClock
from tests.support.storage.storage_calls import start_session

DAYS_90 = timedelta(days=90)


async def test_purge_removes_expired_keys_and_old_sessions() -> None:
    storage, clock = InMemoryStorage(), SettableClock(AT)
    purge = PurgeStorage(storage.orders, storage.sessions, clock)
    alice = await storage.users.add(Username("alice"), PasswordHash(HASH))
    for number in range(1, 121):
        await start_session(storage, a_session(number, alice.id), token=number)
    await storage.sessions.end_all(alice.id, reason=SessionEndReason.SIGNED_OUT, at=AT)
    await start_session(storage, a_session(121, alice.id), token=121)
    order = an_order(owner=alice.id)
    for number in range(1_100):
        expires_at = AT + timedelta(days=1 if number else 2)
        key = IdempotencyKey(f"wish {number}", expires_at)
        await storage.orders.add(an_order(number + 1, owner=alice.id), owner=alice.id, key=key)
    assert await purge(keep_sessions=DAYS_90) == Purged(keys=0, sessions=0)
    clock.advance(days=1)
    assert await purge(keep_sessions=DAYS_90) == Purged(keys=1_099, sessions=0)
    clock.advance(days=89)
    assert await purge(keep_sessions=DAYS_90) == Purged(keys=1, sessions=120)
    assert list(storage.tables.sessions) == [a_session(121).id]
    assert await storage.orders.get_owned(order.id, owner=alice.id) is not None
