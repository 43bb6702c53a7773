from ordergate.application.errors import SchemaNotCurrent


def test_schema_error_says_whether_a_migration_makes_the_schema_current() -> None:
    assert not SchemaNotCurrent("made by a newer version").needs_migration
    error = SchemaNotCurrent("run `ordergate migrate`", needs_migration=True)
    assert (str(error), error.needs_migration) == ("run `ordergate migrate`", True)
