"""A folder where the commands and modules of docs/clients.md run."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.pages import DOCUMENTED_URL, MODULE
from tests.support.program.captured_output import run_program
from tests.support.program.command import clean_environment

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TOOLS = ROOT / ".venv-clients"
PAGE = (ROOT / "docs" / "clients.md").read_text()
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INSTALL = re.compile(r"(?:npm|pip) install ")
_SECONDS = 900  # five runs of a generator in Java, beside other work


def read_section(title: str) -> str:
    """Return the part of the page under a heading."""
    (section,) = re.findall(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    return str(section)


@dataclass(frozen=True)
class Workshop:
    """A folder that runs the tools as an API user does."""

    folder: Path
    url: str

    def run(self, *command: str) -> str:
        """Run a program to its end, and return what it prints."""
        path = f"{TOOLS / 'bin'}:{TOOLS / 'node_modules' / '.bin'}:{os.environ['PATH']}"
        result = run_program(
            list(command),
            cwd=self.folder,
            env=clean_environment() | {"PATH": path, "API": self.url, "npm_config_offline": "true"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return str(result.stdout)

    def write_modules(self, section: str) -> None:
        """Write a section's modules to the files in their first lines."""
        for name, code in MODULE.findall(read_section(section)):
            (self.folder / name).write_text(code.replace(DOCUMENTED_URL, self.url))

    def run_commands(self, section: str) -> str:
        """Run the commands of a section; install its packages from the locks."""
        (commands,) = COMMANDS.findall(read_section(section))
        lines = [line for line in commands.splitlines() if not INSTALL.match(line)]
        return self.run("sh", "-euc", "\n".join(lines).replace(DOCUMENTED_URL, self.url))

    def copy(self, *names: str) -> None:
        """Copy files of this folder beside the generated client."""
        for name in names:
            (self.folder / Path(name).name).write_text((HERE / name).read_text())

    def run_typescript(self, *modules: str) -> list[str]:
        """Check all modules strictly; then run these, and return what each prints."""
        self.copy("tsconfig.json")
        self.run("tsc", "--project", ".")
        bundle = ("--bundle", "--platform=node", "--format=esm", "--packages=external")
        output = ("--outdir=out", "--out-extension:.js=.mjs", "--log-level=warning")
        self.run("esbuild", *(f"{name}.ts" for name in modules), *bundle, *output)
        return [self.run("node", f"out/{name}.mjs") for name in modules]
