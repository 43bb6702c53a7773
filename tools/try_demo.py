"""Use the demo of an installed Ordergate as README.md says.

    python tools/try_demo.py /opt/ordergate/bin/ordergate

The command may have several words, such as those that start a container. `demo --port 0` follows.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

README = Path(__file__).parents[1] / "README.md"
URL = "http://127.0.0.1:8000"
BLOCKS = re.compile(r"^```sh\n((?:TOKEN|curl).*?)^```", re.MULTILINE | re.DOTALL)
EXPECTED = ["200", "404", "201"]
"""An own order, an order of another user, and a placed one."""


def main(*command: str) -> None:
    """Start the demo, and send the requests of the README."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with (
        TemporaryDirectory() as folder,
        subprocess.Popen(
            [*command, "demo", "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as demo,
    ):
        try:
            lines = "".join(BLOCKS.findall(README.read_text("utf-8")))
            curl = lines.replace(URL, _wait_for_url(demo))
            answers = subprocess.run(
                ["/bin/sh", "-ec", curl],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ).stdout
        finally:
            demo.terminate()
    found = re.findall(r"HTTP/1.1 (\d+)", answers)
    if found != EXPECTED:
        sys.exit(f"the demo answered {found} instead of {EXPECTED}:\n{answers}")
    sys.stdout.write(f"The demo of {' '.join(command)} answers as README.md says\n")


def _wait_for_url(demo: "subprocess.Popen[str]") -> str:
    for line in demo.stdout or ():
        if found := re.match(r"Ordergate is on (http://\S+),", line):
            return found[1]
    sys.exit("the demo did not start")


if __name__ == "__main__":
    main(*sys.argv[1:])
