"""Run the documentation's notebook anew, so that it shows what the package gives now.

    python tools/notebook.py docs/notebook.ipynb

The cells are written in the notebook itself. What is stored of a run are the outputs alone: no times, and nothing of
the machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook after all of its cells were run, in a folder for what they write; one that fails raises."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return plain(notebook)


def plain(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run and from machine to machine."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    return notebook


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        document = Path(sys.argv[1])
        done = run(document, Path(folder))
        nbformat.write(done, document)
        print(f"{document}: {document.stat().st_size / 1e6:.2f} MB")
