"""Collect a mutant as the contract tests that must fail on it."""

from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest

from tests.unit.mutants.kit import CAUGHT_BY, contract_for, must_fail


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Class | None:
    if not (isinstance(collector, pytest.Module) and isinstance(obj, type) and obj in CAUGHT_BY):
        return None
    node = pytest.Class.from_parent(collector, name=name)
    node.obj = contract_for(obj, CAUGHT_BY[obj])
    return node


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the named cases of a parametrized test; require each."""
    found: dict[Any, set[str]] = defaultdict(set)
    left_out = []
    for item in items:
        contract: Any = getattr(item, "cls", None)
        if hasattr(contract, "caught"):
            names = {item.name, item.name.partition("[")[0]}
            found[contract] |= names
            if names.isdisjoint(contract.caught):
                left_out.append(item)
    missing = {name for contract in found for name in {*contract.caught} - found[contract]}
    if missing and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"no contract test has the case {missing}")
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Generator[None, object, object]:
    """Pass if the contract test fails, and fail if it passes."""
    if not hasattr(pyfuncitem.cls, "caught"):
        return (yield)
    with must_fail(pyfuncitem.originalname):
        yield
    return True
