"""The log of a training: rows of a CSV file, and TensorBoard scalars if asked for."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pixelrl.errors import UsageError
from pixelrl.pictures.atomic import written_whole

LOG_FILE = "log.csv"


class TrainLog:
    """Rows of ``log.csv`` in a run's folder, each on disk as soon as it is written.

    Args:
        folder: of the run; made if it is not there.
        iteration: that of the checkpoint which is gone on from. Rows after it are dropped; with 0, all of them.
        columns: in order. What the rows so far have beside them is kept.
        tensorboard: also write an event file.

    Raises:
        UsageError: the folder cannot be written to, or TensorBoard is not installed.
    """

    def __init__(self, folder: Path, iteration: int, columns: Sequence[str], tensorboard: bool) -> None:
        path = folder / LOG_FILE
        rows: list[dict[str, str]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if iteration and path.is_file():
                with path.open(newline="") as old:
                    rows = [row for row in csv.DictReader(old) if int(row["iteration"]) <= iteration]
            filled = {column for row in rows for column, value in row.items() if value}
            kept = [column for column in (rows[0] if rows else ()) if column in filled - set(columns)]
            columns = [*columns, *kept]
            # In one piece, or a crash just now would lose the rows so far.
            with written_whole(path) as temporary, temporary.open("x", newline="") as new:
                writer = csv.DictWriter(new, columns, extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
            self.file = path.open("a", newline="")
        except OSError as error:
            raise UsageError(f"run folder {folder} cannot be written: {error.strerror}") from error
        self.rows = csv.DictWriter(self.file, columns)
        self.board = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UsageError('--tensorboard needs tensorboard: pip install "pixelrl[tensorboard]"') from error
            self.board = SummaryWriter(str(folder))

    def write(self, row: dict[str, object]) -> None:
        """Add a row: values by their column; those left out stay empty."""
        self.rows.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
        self.file.flush()
        if self.board is not None:
            for key, value in row.items():
                if isinstance(value, float):
                    self.board.add_scalar(key, value, row["iteration"])

    def __enter__(self) -> TrainLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if self.board is not None:
            self.board.close()
