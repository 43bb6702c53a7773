from ordergate.application.errors import SchemaNotCurrent, StorageMissing


def test_schema_error_says_whether_a_migration_makes_the_schema_current() -> None:
    assert not SchemaNotCurrent("made by a newer version").needs_migration
    error = SchemaNotCurrent("run `ordergate migrate`", needs_migration=True)
    assert (str(error), error.needs_migration) == ("run `ordergate migrate`", True)


def test_missing_storage_names_its_place_and_needs_a_migration() -> None:
    error = StorageMissing("/srv/orders.db")
    assert (error.place, error.needs_migration) == ("/srv/orders.db", True)
    assert (
        str(error) == "there is no database at /srv/orders.db; `ordergate migrate` makes one there"
    )
