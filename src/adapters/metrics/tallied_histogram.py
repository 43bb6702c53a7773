"""Histograms of what was counted elsewhere."""

from collections.abc import Sequence

from prometheus_client import Histogram


class TalliedHistogram(Histogram):
    """A histogram of observations that were counted elsewhere."""

    def add(self, buckets: Sequence[int], total: float) -> None:
        """Add the numbers of the buckets and the sum of their observations."""
        self._sum.inc(total)
        for bucket, number in zip(self._buckets, buckets, strict=True):
            if number:
                bucket.inc(number)
