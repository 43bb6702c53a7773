"""The signing keys of this service, and their ages."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from ordergate.domain.signing_keys import KeyRecord, KeyStatus
from ordergate.entrypoints.container import Container
from ordergate.entrypoints.diagnosis.finding import Finding, report_ok, report_warning, write_count

CHECK = "keys"

MAX_AGE = timedelta(days=366)
"""How long a key may sign without a warning (NIST SP 800-57 part 1, section 5.3.6)."""


async def check_keys(container: Container) -> Sequence[Finding]:
    """Check that a key signs, and since when; make none."""
    settings = container.settings()
    if not settings.issues_tokens:
        return []
    keys = container.list_signing_keys()()
    signing = next((key for key in keys if key.status is KeyStatus.SIGNING), None)
    if signing is None:
        found = f"none is there yet, and the first start makes one in {settings.signing_keys_file}"
        return [report_ok(CHECK, found)]
    return [_judge(signing, _describe_others(keys), container.clock().now())]


def _judge(signing: KeyRecord, others: str, now: datetime) -> Finding:
    key = f"the {signing.algorithm} key {signing.id}"
    if signing.since is None:
        return report_ok(CHECK, f"{key} of the settings signs, and is not rotated")
    age = now - signing.since
    found = f"{key} has signed since {signing.since:%Y-%m-%d} ({write_count(age.days, 'day')})"
    if signing.since > now:
        found = f"{key} has signed since {signing.since:%Y-%m-%d}, which is in the future"
        return report_warning(CHECK, found, "compare the clocks of the hosts")
    if age > MAX_AGE:
        return report_warning(CHECK, found + others, "let cron run `ordergate keys rotate`")
    return report_ok(CHECK, found + others)


def _describe_others(keys: Sequence[KeyRecord]) -> str:
    counts = Counter(key.status for key in keys)
    waiting = (KeyStatus.PUBLISHED, KeyStatus.VERIFYING)
    return "".join(f", {counts[each]} {each.value}" for each in waiting if counts[each])
