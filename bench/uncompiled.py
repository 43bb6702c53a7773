"""`ordergate` without compiled routes: FastAPI answers every request by itself."""

from ordergate.entrypoints.__main__ import main
from ordergate.entrypoints.http import app


def _compile_nothing(*_arguments: object, **_options: object) -> None:
    pass


if __name__ == "__main__":
    vars(app)["compile_routes"] = _compile_nothing
    main()
