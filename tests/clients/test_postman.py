"""Run the Postman collection of docs/clients.md with a name and a password."""

import re
from pathlib import Path

from tests.clients.workshop import Workshop
from tests.support.program.command import CHEAP
from tests.support.program.server import Start

REFUSED = {"Close your account": 409, "End one of your sessions": 404}
"""The requests that the page names: earlier requests of the run make them impossible."""

REQUEST = re.compile(r"^\W*↳ (.+)\n\s*[A-Z]+ \S+ \[(\d+) ", re.MULTILINE)


def test_postman_collection_runs_with_a_user_name_and_a_password(
    workshop: Workshop, start: Start, tmp_path: Path
) -> None:
    """Run against a separate demo, because it changes the password of user1."""
    own = Workshop(workshop.folder, start("demo", cwd=tmp_path, **CHEAP).url)
    own.write_modules("Postman")
    statuses = {name: int(code) for name, code in REQUEST.findall(own.run_commands("Postman"))}
    assert len(statuses) > 15
    assert {name: code for name, code in statuses.items() if code >= 400} == REFUSED
