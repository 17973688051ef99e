"""Several processes learn what one would from the same batches, stop together, and go on where another number was."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pixelrl.checkpoint import read_tensors
from pixelrl.cli import main
from pixelrl.errors import UsageError
from pixelrl.training import parallel
from pixelrl.training.log import LOG_FILE
from pixelrl.training.parallel import ALONE, Processes, joined, own_device
from pixelrl.training.recipe import Recipe, recipe_from_dict
from pixelrl.training.trainer import STATE_FILE, Trainer

CPU = torch.device("cpu")
LOOKAHEAD = {"kind": "lookahead", "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
CONSULTING = {"kind": "consulting", "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_steps": 3}
TABLES: dict[str, dict[str, dict[str, object]]] = {
    "all-action": {"learner": {"max_grad_norm": 0.1}},
    # How many random numbers Poisson noise takes depends on the pixels.
    "sampled": {
        "learner": {"gradient": "sampled", "t_max": 2},
        "task": {"kind": "poisson-denoising", "num_steps": 3},
    },
    # Every picture tries changes of its own.
    "search": {"learner": {"gradient": "search", "towards": "estimate"}, "policy": CONSULTING},
}


def recipe(photos: Path, variant: str = "all-action", batch: int = 4) -> Recipe:
    content: dict[str, object] = {
        "name": "tiny",
        "task": {"kind": "gaussian-denoising", "sigma": [5, 50], "num_steps": 3},
        "policy": LOOKAHEAD,
        "data": {"folder": str(photos), "crop": 16, "batch": batch, "validation": 1},
        "warm_start": {"iterations": 4, "lr": 1e-3},
        "reinforcement": {"iterations": 4, "lr": 1e-3},
    }
    return recipe_from_dict({**content, **TABLES[variant]}, "the test")


def interrupted_after(trainer: Trainer, iteration: int) -> Trainer:
    step = trainer.step

    def stepped() -> object:
        result = step()
        if trainer.iteration == iteration:
            signal.raise_signal(signal.SIGINT)
        return result

    trainer.step = stepped  # type: ignore[method-assign, assignment]
    return trainer


def work(folder: Path, processes: Processes) -> None:
    """What each of two processes does; the tests below look at the files that are left."""
    rank, photos = int(os.environ["RANK"]), folder / "photos"

    def trainer(name: str, variant: str = "all-action") -> Trainer:
        return Trainer(recipe(photos, variant), folder / name, CPU, 1, 6, processes)

    assert (processes.rank, processes.world, processes.first) == (rank, 2, rank == 0)
    for variant in TABLES:
        assert trainer(f"{variant} of two", variant).run()

    # Only the second is asked to stop.
    stopped = trainer("two, then one")
    assert not (interrupted_after(stopped, 3) if rank == 1 else stopped).run()
    assert (stopped.iteration, stopped.interrupted) == (3, True)
    late = trainer("late")
    assert not late.run(minutes=1e-9 if rank == 0 else None)
    assert (late.iteration, late.interrupted) == (0, False)

    resumed = trainer("one, then two")
    resumed.resume()
    assert resumed.iteration == 3
    assert resumed.run()

    with pytest.raises(UsageError, match=r"data\.batch = 3 cannot be shared evenly by 2 processes"):
        Trainer(recipe(photos, batch=3), folder, CPU, processes=processes)
    # Only the second's loss is not a number, and both say so.
    diverged = trainer("diverged")
    if rank == 1:
        torch.nn.init.constant_(diverged.policy.get_parameter("to_residual.bias"), float("nan"))
    with pytest.raises(UsageError, match="the loss at iteration 0 is nan"):
        diverged.run()


def command(folder: Path, processes: Processes) -> None:
    """``pixelrl train`` in each of two processes, which have met already: gloo groups must not follow each other."""
    parallel.joined = lambda device: contextlib.nullcontext(processes)
    sys.argv = ["pixelrl", "train", str(folder / "tiny.toml"), "-o", str(folder / "run"), "--device", "cpu"]
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainings of one process, to be compared with those of two."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "photos").mkdir()
    random = np.random.default_rng(0)
    for i in range(3):
        ramp = np.linspace(30, 200, 30)[None] + np.linspace(0, 10 * i, 24)[:, None]
        pixels = np.clip(ramp + random.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "photos" / f"{i}.png"), pixels)
    for variant in TABLES:
        assert Trainer(recipe(folder / "photos", variant), folder / f"{variant} of one", CPU, 1, 6).run()
    stopped = Trainer(recipe(folder / "photos"), folder / "one, then two", CPU, 1, 6)
    assert not interrupted_after(stopped, 3).run()
    (folder / "tiny.toml").write_text(
        'name = "tiny"\n[task]\nkind = "gaussian-denoising"\nnum_steps = 2\n'
        '[policy]\nkind = "lookahead"\nwidth = 8\ndeep_width = 8\ndepths = [1, 1, 1]\nhead_width = 4\n'
        f'[data]\nfolder = "{folder / "photos"}"\ncrop = 16\nbatch = 2\nvalidation = 1\n'
        "[warm_start]\niterations = 2\n[reinforcement]\niterations = 1\n"
    )
    return folder


def two(*words: str) -> subprocess.CompletedProcess[str]:
    """Run this file in two processes that meet."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*launch, *words], env=environment, capture_output=True, text=True, timeout=1200)


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What two processes print, which do `work` and then `command`: most of their time goes into importing PyTorch."""
    done = two(str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout


def same_training(one: Path, other: Path) -> None:
    """The same state up to the order of sums, the same generators bit for bit, and a log that says the same."""
    first, second = (read_tensors(run / STATE_FILE, "training state")[0] for run in (one, other))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        tolerance = 0.0 if name.endswith("generator") else 1e-5
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")
    logs = []
    for run in (one, other):
        with (run / LOG_FILE).open(newline="") as file:
            logs.append(list(csv.DictReader(file)))
    assert [row["iteration"] for row in logs[0]] == [row["iteration"] for row in logs[1]] == [*"12345678"]
    for mine, theirs in zip(*logs, strict=True):
        for key in ("lr", "estimate_loss", "policy_loss", "value_loss", "entropy", "reward", "psnr", "psnr_estimate"):
            assert float(mine[key] or 0) == pytest.approx(float(theirs[key] or 0), rel=1e-3, abs=1e-5), key


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize("variant", TABLES)
def test_two_processes_learn_what_one_does(folder: Path, variant: str) -> None:
    same_training(folder / f"{variant} of one", folder / f"{variant} of two")


@pytest.mark.usefixtures("printed")
def test_one_process_goes_on_from_two(folder: Path) -> None:
    run = folder / "two, then one"
    trainer = Trainer(recipe(folder / "photos"), run, CPU, 1, 6)
    trainer.resume()
    assert trainer.iteration == 3
    assert trainer.run()
    same_training(folder / "all-action of one", run)


@pytest.mark.usefixtures("printed")
def test_two_processes_go_on_from_one(folder: Path) -> None:
    same_training(folder / "all-action of one", folder / "one, then two")


def test_the_command_under_torchrun(folder: Path, printed: str) -> None:
    """One process writes, and speaks."""
    assert printed == f"{folder / 'run' / 'policy.safetensors'}\n"
    assert read_tensors(folder / "run" / STATE_FILE, "training state")[1]["iteration"] == 3


def test_an_error_ends_a_process_with_its_own_exit_code() -> None:
    """And not with SIGABRT, as threads of gloo do where they outlive Python."""
    done = two("fail")
    assert re.search(r"exitcode +: 7 ", done.stderr), done.stderr
    assert "exitcode  : -6" not in done.stderr, done.stderr
    assert "terminate called" not in done.stderr, done.stderr


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(CPU) as processes:
        assert processes is ALONE
    batch = torch.rand(3, 2)
    assert ALONE.mine(batch) is batch
    assert ALONE.average([batch], [0.1]) == [0.1]
    assert ALONE.any([True, False], CPU) == [True, False]
    assert own_device(torch.device("cuda")) == torch.device("cuda")


def test_slices_make_up_the_batch() -> None:
    batch = torch.arange(12).view(6, 2)
    assert torch.equal(torch.cat([Processes(rank, 3).mine(batch) for rank in range(3)]), batch)


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert own_device(CPU) == CPU
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match=r"process 3 of this machine has no GPU; give torchrun --nproc-per-node 2"):
        own_device(torch.device("cuda"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined(own_device(CPU)) as both:
        if sys.argv[1:] == ["fail"]:
            for _ in range(20):
                both.average([torch.rand(1000)], [0.1])
            raise SystemExit(7)
        work(Path(sys.argv[1]), both)
        command(Path(sys.argv[1]), both)
