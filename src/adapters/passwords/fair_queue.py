"""A bounded queue that serves its groups in turn."""

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

Path = Sequence[Hashable]
"""The groups of an item, outermost first; all paths have one length."""


class FairQueue(Generic[T]):
    """Items in nested groups, which are served in turn at each level.

    At most `bound` items wait. When the queue is full, a new item takes the place of the last item
    of the largest other group, at the outermost level where this makes the groups more even. The
    groups with the most items are therefore refused first.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._root: _Group[T] = _Group()

    def __len__(self) -> int:
        return self._root.size

    @property
    def is_full(self) -> bool:
        """Whether one more item needs the place of another."""
        return self._root.size >= self.bound

    def put(self, item: T, path: Path) -> None:
        """Append an item to its group, even beyond the bound."""
        group = self._root
        group.size += 1
        for key in path:
            group = group.groups.setdefault(key, _Group())
            group.size += 1
        group.items.append(item)

    def take(self) -> T:
        """Remove and return the next item. Raises `IndexError` if there is none."""
        group = self._root
        while group.groups:
            key, following = next(iter(group.groups.items()))
            del group.groups[key]
            if following.size > 1:
                group.groups[key] = following  # the last of its level now
            group.size -= 1
            group = following
        item = group.items.popleft()
        group.size -= 1
        return item

    def make_room_for(self, path: Path) -> T | None:
        """Remove and return the item that yields to a new one.

        Returns `None` if none does.
        """
        group = self._root
        for level, key in enumerate(path):
            largest = group.find_largest()
            own = group.groups.get(key)
            if largest is not None and group.groups[largest].size > (own.size if own else 0) + 1:
                return self._drop_last_job([*path[:level], largest])
            if own is None:
                return None
            group = own
        return None

    def discard(self, item: T, path: Path) -> None:
        """Remove an item if it is still waiting."""
        groups = [self._root]
        for key in path:
            if key not in groups[-1].groups:
                return
            groups.append(groups[-1].groups[key])
        if item not in groups[-1].items:
            return
        groups[-1].items.remove(item)
        for group in groups:
            group.size -= 1
        for group, key in zip(groups, path, strict=False):
            if not group.groups[key].size:
                del group.groups[key]
                return

    def _drop_last_job(self, path: list[Hashable]) -> T:
        group = self._root
        for key in path:
            group = group.groups[key]
        while (key := group.find_largest()) is not None:
            path.append(key)
            group = group.groups[key]
        item = group.items[-1]
        self.discard(item, path)
        return item


class _Group(Generic[T]):
    """Groups in the order of their turns, or items."""

    def __init__(self) -> None:
        self.size = 0
        self.groups: dict[Hashable, _Group[T]] = {}
        self.items: deque[T] = deque()

    def find_largest(self) -> Hashable | None:
        return max(self.groups, key=lambda key: self.groups[key].size, default=None)
