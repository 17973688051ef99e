"""Fresh environments in which the package is tried as a user gets it, without the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def program(place: Path, name: str = "python") -> str:
    """The path of a program in the environment at ``place``."""
    return str(place / ("Scripts" if os.name == "nt" else "bin") / name)


def install(place: Path, what: str) -> None:
    """Install a wheel or a folder into the environment, and what it depends on in the versions of constraints.txt."""
    constraints = str(ROOT / "constraints.txt")
    pip = [program(place), "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", constraints]
    run([*pip, what])


def run(command: list[str], folder: Path | None = None, *, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    """Carry a command out without the variables that could lead it back to the checkout."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert may_fail or done.returncode == 0, (
        f"{' '.join(command[:4])}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done


def call(command: list[str], folder: Path | None = None) -> str:
    """What a command prints, as `run`."""
    return run(command, folder).stdout
