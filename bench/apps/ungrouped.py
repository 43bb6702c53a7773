"""The `ordergate` command with a commit for each write, for comparison.

python bench/apps/ungrouped.py serve --port 8000
"""

import sys
from importlib import import_module

from ordergate.entrypoints.__main__ import main

if __name__ == "__main__":
    writer = import_module("ordergate.adapters.sql.sqlite.writer")
    if not hasattr(writer, "MAX_GROUP"):
        sys.exit(f"{writer.__name__} has no MAX_GROUP any more; change bench/apps/ungrouped.py")
    writer.MAX_GROUP = 1  # type: ignore[attr-defined]  # the maximum of writes in one commit
    main()
