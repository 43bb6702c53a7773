"""A mutant is collected as a class of the contract tests that must fail on it."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.unit.mutants.kit import contract_for, must_fail


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Class | None:
    if not (
        isinstance(collector, pytest.Module) and isinstance(obj, type) and "caught_by" in vars(obj)
    ):
        return None
    node = pytest.Class.from_parent(collector, name=name)
    node.obj = contract_for(obj, vars(obj)["caught_by"])
    return node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the cases of a parametrized test that are not named."""
    items[:] = [item for item in items if _is_expected(item)]


def _is_expected(item: pytest.Item) -> bool:
    caught = getattr(getattr(item, "cls", None), "caught", None)
    return caught is None or not {item.name, item.name.partition("[")[0]}.isdisjoint(caught)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Generator[None, object, object]:
    """Pass if the contract test fails, and fail if it passes."""
    if not hasattr(pyfuncitem.cls, "caught"):
        return (yield)
    with must_fail(pyfuncitem.originalname):
        yield
    return True
