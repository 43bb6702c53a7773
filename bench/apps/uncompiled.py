"""The `ordergate` command without compiled routes, for comparison: FastAPI answers by itself.

python bench/apps/uncompiled.py serve --port 8000
"""

from ordergate.entrypoints.__main__ import main
from ordergate.entrypoints.http import app


def _compile_nothing(*_arguments: object, **_options: object) -> None:
    pass


if not hasattr(app, "compile_routes"):
    raise SystemExit(
        f"{app.__name__} has no compile_routes any more; change bench/apps/uncompiled.py"
    )
vars(app)["compile_routes"] = _compile_nothing  # also in each worker, which imports this file

if __name__ == "__main__":
    main()
