from ordergate.adapters.memory import InMemoryStorage
from ordergate.application.purpose_keys import KeyPurpose, PurposeKeys


async def test_purpose_keys_differ_from_each_other_and_from_the_secret() -> None:
    storage = InMemoryStorage()
    keys = [await PurposeKeys(storage).get(purpose) for purpose in KeyPurpose]
    assert len({*keys, await storage.get_secret()}) == len(KeyPurpose) + 1
    assert {len(key) for key in keys} == {32}


async def test_purpose_key_is_derived_once() -> None:
    keys = PurposeKeys(InMemoryStorage())
    first = await keys.get(KeyPurpose.ORDER_CURSORS)
    assert await keys.get(KeyPurpose.ORDER_CURSORS) is first


async def test_purpose_key_is_the_same_for_one_storage_and_differs_by_storage() -> None:
    one, other = InMemoryStorage(), InMemoryStorage()
    key = await PurposeKeys(one).get(KeyPurpose.ORDER_CURSORS)
    assert await PurposeKeys(one).get(KeyPurpose.ORDER_CURSORS) == key
    assert await PurposeKeys(other).get(KeyPurpose.ORDER_CURSORS) != key
