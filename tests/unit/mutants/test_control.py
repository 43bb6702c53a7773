"""Healthy adapters pass by the way on which mutants fail."""

import pytest

from tests.support.doubles import (
    CountingThrottle,
)
from tests.unit.mutants.kit import (
    ConflictingLoader,
    Keys,
    MutantPublicKeys,
    MutantStorage,
    contract_for,
    must_fail,
)


class TestHealthyStorage(MutantStorage):
    pass


class TestLoaderThatRepeats(MutantStorage):
    mutant = ConflictingLoader


class TestHealthyPublicKeys(MutantPublicKeys):
    mutant = Keys


def test_mutant_test_fails_when_its_contract_test_passes() -> None:
    with pytest.raises(pytest.fail.Exception, match="test_x passes"), must_fail("test_x"):
        pass


def test_mutant_test_passes_when_its_contract_test_fails() -> None:
    with must_fail("test_x"):
        raise AssertionError


def test_defect_of_a_mutant_is_not_counted_as_a_failure() -> None:
    with pytest.raises(TypeError), must_fail("test_x"):
        raise TypeError


@pytest.mark.parametrize("caught", [(), ("test_that_does_not_exist",)])
def test_mutant_names_contract_tests(caught: tuple[str, ...]) -> None:
    with pytest.raises(pytest.UsageError):
        contract_for(CountingThrottle, caught)
