"""The contract of storages that describe themselves to operators."""

from abc import abstractmethod

import pytest

from ordergate.application.errors import SchemaNotCurrent, StorageUnavailable
from ordergate.application.ports.storage import Storage, StorageFacts, StorageInspector

CLOCK_SECONDS = 30


class DescribedStorage(Storage, StorageInspector):
    """A storage that the contract opens and inspects."""


async def find_schema_error(storage: DescribedStorage) -> str | None:
    """Return what an inspection says about the schema."""
    try:
        return (await storage.inspect()).schema_error
    except SchemaNotCurrent as error:
        return str(error)


def select_lasting(facts: StorageFacts) -> tuple[object, ...]:
    """Return the properties that two inspections share."""
    return facts.product, facts.max_connections, facts.risk, facts.schema_error


class StorageInspectorContract:
    """Subclasses have three storages, none of which is open."""

    @pytest.fixture
    @abstractmethod
    def migrated(self) -> DescribedStorage:
        """Return a storage with a current schema."""

    @pytest.fixture
    @abstractmethod
    def empty(self) -> DescribedStorage:
        """Return a storage that was never migrated."""

    @pytest.fixture
    @abstractmethod
    def unreachable(self) -> DescribedStorage:
        """Return a storage whose server or file cannot be used."""

    async def test_facts_are_complete(self, migrated: DescribedStorage) -> None:
        facts = await migrated.inspect()
        assert facts.product.strip()
        assert facts.round_trip > 0
        assert facts.clock_ahead is None or abs(facts.clock_ahead) < CLOCK_SECONDS
        assert facts.max_connections is None or facts.max_connections > 0
        assert facts.risk != ""
        assert facts.schema_error is None

    async def test_facts_are_the_same_before_and_after_the_start(
        self, migrated: DescribedStorage
    ) -> None:
        before = await migrated.inspect()
        await migrated.open()
        assert select_lasting(await migrated.inspect()) == select_lasting(before)
        await migrated.ping()

    async def test_inspection_names_a_missing_schema_and_makes_none(
        self, empty: DescribedStorage
    ) -> None:
        for _ in range(2):
            error = await find_schema_error(empty)
            assert error is not None
            assert "`ordergate migrate`" in error
        await empty.migrate()
        assert await find_schema_error(empty) is None

    async def test_inspection_of_an_unreachable_storage_fails(
        self, unreachable: DescribedStorage
    ) -> None:
        with pytest.raises(StorageUnavailable):
            await unreachable.inspect()
