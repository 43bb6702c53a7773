"""Healthy adapters pass by the way on which mutants fail."""

import pytest

from ordergate.adapters.system.system_clock import SystemClock
from tests.support.doubles import CountingThrottle, InstantPasswordHasher, TableTokenIssuer
from tests.unit.mutants.kit import (
    ConflictingLoader,
    Keys,
    MutantClock,
    MutantPasswordHasher,
    MutantPublicKeys,
    MutantStorage,
    MutantThrottle,
    MutantTokenIssuer,
    contract_for,
    must_fail,
)


class TestHealthyStorage(MutantStorage):
    pass


class TestLoaderThatRepeats(MutantStorage):
    mutant = ConflictingLoader


class TestHealthyThrottle(MutantThrottle):
    mutant = CountingThrottle


class TestHealthyPasswordHasher(MutantPasswordHasher):
    mutant = InstantPasswordHasher


class TestHealthyTokenIssuer(MutantTokenIssuer):
    mutant = TableTokenIssuer


class TestHealthyClock(MutantClock):
    mutant = SystemClock


class TestHealthyPublicKeys(MutantPublicKeys):
    mutant = Keys


def test_a_contract_test_that_passes_a_mutant_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="test_x passes"), must_fail("test_x"):
        pass


def test_a_contract_test_that_fails_on_a_mutant_passes() -> None:
    with must_fail("test_x"):
        raise AssertionError


def test_a_defect_of_a_mutant_is_not_taken_for_a_failure() -> None:
    with pytest.raises(TypeError), must_fail("test_x"):
        raise TypeError


@pytest.mark.parametrize("caught", [(), ("test_that_does_not_exist",)])
def test_a_mutant_names_contract_tests(caught: tuple[str, ...]) -> None:
    with pytest.raises(pytest.UsageError):
        contract_for(CountingThrottle, caught)
