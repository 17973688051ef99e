"""Training runs: repeatable, resumable bit for bit, stoppable, and told apart."""

from __future__ import annotations

import csv
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from pixelrl.actions import PAPER_NINE, Action, ActionSet
from pixelrl.checkpoint import load_policy, read_tensors, write_tensors
from pixelrl.errors import UsageError
from pixelrl.tasks import Episode
from pixelrl.training.finite import not_finite
from pixelrl.training.log import LOG_FILE
from pixelrl.training.recipe import Recipe, recipe_from_dict
from pixelrl.training.trainer import POLICY_FILE, STATE_FILE, Progress, Trainer

CPU = torch.device("cpu")
COLUMNS = [
    "iteration", "phase", "lr", "minutes", "iterations_per_second", "crops_per_second", "estimate_loss", "policy_loss",
    "value_loss", "entropy", "reward", "dissent", "tried", "bits", "psnr", "psnr_estimate",
]  # fmt: skip
LOOKAHEAD = {"kind": "lookahead", "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
CONSULTING = {"kind": "consulting", "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_steps": 3}
FCN = {"kind": "fcn", "width": 4, "recurrent": True, "reward_map_convolution": True}

VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "all-action": {"learner": {"max_grad_norm": 1.0}},
    "sampled": {
        "learner": {"gradient": "sampled", "t_max": 2},
        "policy": {**LOOKAHEAD, "reward_map_convolution": True},
    },
    "bf16": {"learner": {"precision": "bf16", "t_max": 2}},
    "search": {"learner": {"gradient": "search", "towards": "estimate"}, "policy": CONSULTING},
    "fcn": {
        "learner": {"gradient": "sampled", "t_max": 2},
        "policy": FCN,
        "warm_start": {"iterations": 0},
        "reinforcement": {"iterations": 8, "lr": 1e-2},
    },
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five small photographs: a ramp, with texture of their own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(5):
        ramp = np.linspace(30, 200, 20)[None] + np.linspace(0, 10 * i, 18)[:, None]
        cv2.imwrite(str(folder / f"{i}.png"), np.clip(ramp + random.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8))
    return folder


Make = Callable[..., Recipe]


@pytest.fixture
def make(photos: Path) -> Make:
    """A recipe of eight tiny iterations, with some tables replaced."""

    def build(seed: int = 0, **tables: dict[str, object]) -> Recipe:
        content: dict[str, object] = {
            "name": "tiny",
            "seed": seed,
            "task": {"kind": "gaussian-denoising", "sigma": [5, 50], "num_steps": 3},
            "policy": LOOKAHEAD,
            "data": {"folder": str(photos), "crop": 8, "batch": 2, "validation": 1, "scales": [1.0, 0.8]},
            "warm_start": {"iterations": 4, "lr": 1e-2},
            "reinforcement": {"iterations": 4, "lr": 1e-2},
        }
        return recipe_from_dict({**content, **tables}, "the test")

    return build


def interrupt_at(iteration: int, sent: signal.Signals = signal.SIGINT) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.iteration == iteration:
            signal.raise_signal(sent)

    return report


def train(
    recipe: Recipe,
    folder: Path,
    report: Callable[[Progress], None] | None = None,
    resume: bool = False,
    log_every: int = 1,
    validate_every: int = 100,
) -> bool:
    trainer = Trainer(recipe, folder, CPU, log_every, validate_every)
    if resume:
        trainer.resume()
    return trainer.run(report=report)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / LOG_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(folder: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "minutes" and "per_second" not in k} for row in rows(folder)]


def state(folder: Path) -> dict[str, Tensor]:
    return read_tensors(folder / STATE_FILE, "training state")[0]


def differing(one: Path, other: Path) -> list[str]:
    """The names of the tensors of two runs, states and policies, that are not the same bits."""
    result = []
    for file, content in ((STATE_FILE, "training state"), (POLICY_FILE, "policy")):
        first, _ = read_tensors(one / file, content)
        second, _ = read_tensors(other / file, content)
        result += list(first.keys() ^ second.keys())
        result += [name for name in first.keys() & second.keys() if not torch.equal(first[name], second[name])]
    return sorted(result)


def test_the_same_seed_gives_the_same_weights(make: Make, tmp_path: Path) -> None:
    assert train(make(), tmp_path / "a")
    torch.rand(7)  # whatever else uses the global generator
    assert train(make(), tmp_path / "b", validate_every=1)  # nor does validating change what is learned
    assert differing(tmp_path / "a", tmp_path / "b") == []
    train(make(seed=1), tmp_path / "c")
    assert len(differing(tmp_path / "a", tmp_path / "c")) > 50


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where trainings that nobody stopped lie, each done once."""
    return tmp_path_factory.mktemp("wholes")


@pytest.mark.parametrize("stop", [1, 4, 6])
@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_and_resumed_is_uninterrupted(
    make: Make, wholes: Path, tmp_path: Path, variant: str, stop: int
) -> None:
    """In the warm start, at the border and in the reinforcement learning: not one bit differs."""
    recipe, whole = make(**VARIANTS[variant]), wholes / variant
    if not whole.exists():
        assert train(recipe, whole)
    assert not train(recipe, tmp_path / "parts", interrupt_at(stop))
    assert read_tensors(tmp_path / "parts" / STATE_FILE, "training state")[1]["iteration"] == stop
    assert differing(whole, tmp_path / "parts")
    assert train(recipe, tmp_path / "parts", resume=True)
    assert differing(whole, tmp_path / "parts") == []
    assert untimed(whole) == untimed(tmp_path / "parts")


def test_a_kept_state_is_gone_on_with(
    make: Make, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At half the size, so not to the bit; and without where things lay."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import keep_state

    assert not train(make(), tmp_path / "run", interrupt_at(6))
    kept = keep_state.keep(tmp_path / "run", tmp_path / "kept")
    assert kept == tmp_path / "kept" / "tiny.safetensors"
    assert str(photos.parent) not in kept.read_bytes().decode("latin-1")
    assert kept.stat().st_size < 0.8 * (tmp_path / "run" / STATE_FILE).stat().st_size
    whole, _ = read_tensors(tmp_path / "run" / STATE_FILE, "training state")
    for name, tensor in read_tensors(kept, "training state")[0].items():
        torch.testing.assert_close(tensor.to(whole[name].dtype), whole[name], rtol=0.01, atol=1e-6)
    (tmp_path / "again").mkdir()
    kept.rename(tmp_path / "again" / STATE_FILE)
    assert train(make(), tmp_path / "again", resume=True)
    assert rows(tmp_path / "again")[-1]["iteration"] == "8"
    assert {tensor.dtype for name, tensor in state(tmp_path / "again").items() if "ema." in name} == {torch.float32}


def test_the_state_holds_moments_and_generators(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    names = state(tmp_path).keys()
    assert {"host_generator", "generator"} <= names
    for weight in ("encoder.enter.weight", "to_logits.bias"):
        assert {f"policy.{weight}", f"ema.{weight}"} <= names
    # The last phase was reinforcement, in which the encoder has no gradient, and so no moments.
    moments = {f"optimiser.to_logits.bias.{moment}" for moment in ("exp_avg", "exp_avg_sq", "step")}
    assert moments <= names


def test_a_crash_goes_on_from_the_last_checkpoint(make: Make, tmp_path: Path) -> None:
    def crash(progress: Progress) -> None:
        if progress.iteration == 5:
            raise RuntimeError("power cut")

    train(make(), tmp_path / "whole", validate_every=3)
    with pytest.raises(RuntimeError, match="power cut"):
        train(make(), tmp_path / "parts", crash, validate_every=3)
    assert [row["iteration"] for row in rows(tmp_path / "parts")] == ["1", "2", "3", "4", "5"]
    assert train(make(), tmp_path / "parts", resume=True, validate_every=3)
    assert differing(tmp_path / "whole", tmp_path / "parts") == []
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "parts")  # rows 4 and 5 are there once


def test_a_crash_costs_minutes_where_validations_are_rare(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(progress: Progress) -> None:
        if progress.iteration == 5:
            raise RuntimeError("power cut")

    monkeypatch.setattr("pixelrl.training.trainer.SAVED_EVERY", 0.0)
    train(make(), tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        train(make(), tmp_path / "parts", crash)
    trainer = Trainer(make(), tmp_path / "parts", CPU, 1, 100)
    trainer.resume()
    assert trainer.iteration == 5
    assert trainer.run()
    assert differing(tmp_path / "whole", tmp_path / "parts") == []


def test_a_finished_run_has_nothing_left_to_do(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    before = state(tmp_path)
    assert train(make(), tmp_path, resume=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(tmp_path).items())
    assert len(rows(tmp_path)) == 8


def test_the_recipe_may_become_longer_and_the_photos_may_move(make: Make, tmp_path: Path, photos: Path) -> None:
    train(make(), tmp_path / "run")
    moved = photos.rename(tmp_path / "elsewhere")
    data = {"folder": str(moved), "crop": 8, "batch": 2, "validation": 1, "scales": [1.0, 0.8]}
    assert train(make(data=data, reinforcement={"iterations": 6}), tmp_path / "run", resume=True)
    assert rows(tmp_path / "run")[-1]["iteration"] == "10"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"policy": {**LOOKAHEAD, "width": 9}}, "policy"),
        ({"task": {"kind": "gaussian-denoising", "sigma": [5, 40], "num_steps": 3}}, "task"),
        ({"seed": 3}, "seed"),
        ({"learner": {"ent_coef": 0.02}}, "learner"),
    ],
)
def test_another_recipe_is_refused(make: Make, tmp_path: Path, changes: dict[str, object], key: str) -> None:
    train(make(), tmp_path)
    with pytest.raises(UsageError, match=rf"was trained with {key}.* = .*, not .*; leave that as it was"):
        Trainer(make(**changes), tmp_path, CPU).resume()


def test_only_phases_may_change_and_are_named(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    longer = {"iterations": 6, "lr": 1e-2}
    assert Trainer(make(), tmp_path, CPU).resume() == []
    assert Trainer(make(reinforcement=longer), tmp_path, CPU).resume() == ["reinforcement"]
    both = make(warm_start=longer, reinforcement=longer)
    assert Trainer(both, tmp_path, CPU).resume() == ["warm_start", "reinforcement"]


def test_a_setting_newer_than_the_state_counts_as_its_default(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    tensors, header = read_tensors(tmp_path / STATE_FILE, "training state")
    del header["recipe"]["learner"]["max_grad_norm"]  # type: ignore[index]
    write_tensors(tmp_path / STATE_FILE, tensors, header)
    assert Trainer(make(), tmp_path, CPU).resume() == []
    with pytest.raises(UsageError, match=r"trained with learner\.max_grad_norm = 0\.0, not 1\.0"):
        Trainer(make(learner={"max_grad_norm": 1.0}), tmp_path, CPU).resume()


def test_a_state_with_settings_that_are_gone_is_gone_on_with(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    tensors, header = read_tensors(tmp_path / STATE_FILE, "training state")
    header["recipe"]["learner"]["estimate_coef"] = 0.0  # type: ignore[index]
    for phase in ("warm_start", "reinforcement"):
        header["recipe"][phase] |= {"power": 1.0, "crop": 0}  # type: ignore[index]
    del header["modules"]
    write_tensors(tmp_path / STATE_FILE, tensors, header)
    assert Trainer(make(), tmp_path, CPU).resume() == []
    header["recipe"]["learner"]["estimate_coef"] = 1.0  # type: ignore[index]
    write_tensors(tmp_path / STATE_FILE, tensors, header)
    with pytest.raises(UsageError, match=r"learner\.estimate_coef can no longer be set"):
        Trainer(make(), tmp_path, CPU).resume()


def test_of_several_policies_to_start_from_later_ones_count_more(make: Make, tmp_path: Path) -> None:
    """Each weight comes from the last of them that has it."""
    for seed in (1, 2):
        train(msgspec.structs.replace(make(), seed=seed), tmp_path / str(seed))
    files = [tmp_path / str(seed) / POLICY_FILE for seed in (1, 2)]
    recipe = msgspec.structs.replace(make(), initial=tuple(str(file) for file in files))
    trainer = Trainer(recipe, tmp_path / "both", torch.device("cpu"))
    last = load_policy(files[1])[0].state_dict()
    assert all(torch.equal(weight, last[name]) for name, weight in trainer.policy.state_dict().items())


def test_initial_weights_matter_no_more(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path / "first")
    recipe = msgspec.structs.replace(make(), initial=str(tmp_path / "first" / POLICY_FILE))
    assert train(recipe, tmp_path / "whole")
    assert differing(tmp_path / "whole", tmp_path / "first")
    assert not train(recipe, tmp_path / "parts", interrupt_at(5))
    assert train(msgspec.structs.replace(recipe, initial=""), tmp_path / "parts", resume=True)
    assert differing(tmp_path / "whole", tmp_path / "parts") == []


def test_other_data_are_refused(make: Make, tmp_path: Path, photos: Path) -> None:
    train(make(), tmp_path)
    data = {"folder": str(photos), "crop": 9, "batch": 2, "validation": 1, "scales": [1.0, 0.8]}
    with pytest.raises(UsageError, match=r"trained with data\.crop = 8, not 9"):
        Trainer(make(data=data), tmp_path, CPU).resume()


def test_nothing_to_resume_is_said(make: Make, tmp_path: Path) -> None:
    trainer = Trainer(make(), tmp_path / "new", CPU)
    with pytest.raises(UsageError, match=r"state\.safetensors does not exist"):
        trainer.resume()
    train(make(), tmp_path / "new")
    (tmp_path / "new" / POLICY_FILE).rename(tmp_path / "new" / STATE_FILE)
    with pytest.raises(UsageError, match="not a training state"):
        trainer.resume()
    (tmp_path / "new" / STATE_FILE).write_bytes(b"\0" * 50)
    with pytest.raises(UsageError, match="not a training state file"):
        trainer.resume()


def test_the_log(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path, log_every=3, validate_every=4)
    log = rows(tmp_path)
    assert list(log[0]) == COLUMNS
    assert [row["iteration"] for row in log] == ["3", "4", "6", "8"]  # every 3rd, and validations
    assert [row["phase"] for row in log] == ["warm_start"] * 2 + ["reinforcement"] * 2
    assert [float(row["lr"]) for row in log] == pytest.approx([0.005, 0.0025, 0.0075, 0.0025])
    assert [bool(row["psnr"]) for row in log] == [False, True, False, True]
    assert [bool(row["psnr_estimate"]) for row in log] == [False, True, False, True]
    assert [bool(row["policy_loss"]) for row in log] == [False, False, True, True]
    assert [bool(row["estimate_loss"]) for row in log] == [True, True, False, False]
    assert all(0 < float(row["minutes"]) < 5 for row in log)


def test_the_last_iteration_before_a_stop_is_logged(make: Make, tmp_path: Path) -> None:
    assert not train(make(), tmp_path, interrupt_at(2), log_every=3)
    assert [row["iteration"] for row in rows(tmp_path)] == ["2"]
    assert not train(make(), tmp_path, interrupt_at(3), resume=True, log_every=3)
    assert [row["iteration"] for row in rows(tmp_path)] == ["2", "3"]  # once, though it is a third, too
    assert train(make(), tmp_path, resume=True, log_every=3)
    assert [row["iteration"] for row in rows(tmp_path)] == ["2", "3", "6", "8"]


def test_the_log_has_crops_per_second(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    for row in rows(tmp_path):
        assert float(row["crops_per_second"]) == pytest.approx(2 * float(row["iterations_per_second"]), rel=1e-4)


def test_rows_survive_a_crash_while_they_are_written_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    train(make(), folder)
    before = (folder / LOG_FILE).read_bytes()

    def crash(writer: object, rows: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(csv.DictWriter, "writerows", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        train(make(), folder, resume=True)
    assert (folder / LOG_FILE).read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {LOG_FILE, POLICY_FILE, STATE_FILE}


def test_a_log_of_an_older_version_keeps_what_it_holds(make: Make, tmp_path: Path) -> None:
    """Older logs had the columns of every built-in task; a column of one's own may have been added, too."""
    assert not train(make(), tmp_path, interrupt_at(2))
    kept = [{**row, "worth": "", "lab_distance": "", "mine": "7"} for row in rows(tmp_path)]
    with (tmp_path / LOG_FILE).open("w", newline="") as file:
        old = csv.DictWriter(file, list(kept[0]))
        old.writeheader()
        old.writerows(kept)
    assert train(make(), tmp_path, resume=True)
    assert list(rows(tmp_path)[0]) == [*COLUMNS, "mine"]
    assert [row["mine"] for row in rows(tmp_path)] == ["7"] * 2 + [""] * 6


def test_a_log_with_fewer_columns_is_gone_on_with(make: Make, tmp_path: Path) -> None:
    assert not train(make(), tmp_path, interrupt_at(2))
    kept = rows(tmp_path)
    with (tmp_path / LOG_FILE).open("w", newline="") as file:
        old = csv.DictWriter(file, ["iteration", "phase"], extrasaction="ignore")
        old.writeheader()
        old.writerows(kept)
    assert train(make(), tmp_path, resume=True)
    assert [row["iteration"] for row in rows(tmp_path)] == [*"12345678"]
    assert list(rows(tmp_path)[0]) == COLUMNS


def test_progress_is_reported(make: Make, tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(make(), tmp_path, seen.append, validate_every=4)
    assert [progress.iteration for progress in seen] == list(range(1, 9))
    assert {progress.iterations for progress in seen} == {8}
    assert [progress.score is None for progress in seen] == [True] * 3 + [False] * 5
    assert seen[-1].seconds_left == 0
    assert "estimate_loss" in seen[0].logged
    assert "reward" in seen[-1].logged


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_stop_cleanly(make: Make, tmp_path: Path, sent: signal.Signals) -> None:
    """Ctrl-C, and what ``kill`` and the schedulers of clusters send."""
    handler = signal.getsignal(sent)
    trainer = Trainer(make(), tmp_path, CPU)
    assert not trainer.run(report=interrupt_at(2, sent))
    assert trainer.iteration == 2
    assert (tmp_path / STATE_FILE).is_file()
    load_policy(tmp_path / POLICY_FILE)
    assert signal.getsignal(sent) is handler


def test_a_second_interrupt_is_immediate(make: Make, tmp_path: Path) -> None:
    def report(progress: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("still running")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(make(), tmp_path, report)
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_can_train(make: Make, tmp_path: Path) -> None:
    """Only the main thread can be told of Ctrl-C."""
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(train(make(), tmp_path)))
    thread.start()
    thread.join()
    assert done == [True]


def test_time_stops_a_run(make: Make, tmp_path: Path) -> None:
    trainer = Trainer(make(), tmp_path, CPU)
    assert not trainer.run(minutes=1e-9)
    assert trainer.iteration == 0
    assert train(make(), tmp_path, resume=True)  # even a state before the first iteration can be gone on from
    train(make(), tmp_path / "whole")
    assert differing(tmp_path, tmp_path / "whole") == []


def test_weights_move_in_both_phases(make: Make, tmp_path: Path) -> None:
    trainer = Trainer(make(**VARIANTS["all-action"]), tmp_path, CPU)
    snapshots, average = [], {}
    for iteration in range(9):
        if iteration in (0, 4, 8):
            snapshots.append({name: tensor.clone() for name, tensor in trainer.policy.state_dict().items()})
        if iteration < 8:
            trainer.step()
            average = {name: tensor.clone() for name, tensor in trainer.ema.items()} if iteration == 3 else average
    start, border, end = snapshots
    for name in start:
        head = name.startswith(("compare", "to_logits", "to_value", "to_memory", "log_sharpness"))
        assert torch.equal(start[name], border[name]) == head, name  # the warm start trains the encoder alone
        assert torch.equal(average[name], end[name]) != head, name  # reinforcement learning, the head alone


def test_a_phase_starts_with_fresh_moments(make: Make, tmp_path: Path) -> None:
    """Or the warm start's momentum would move the encoder, which the rewards give no gradient."""
    trainer = Trainer(make(), tmp_path, CPU)
    for _ in range(4):
        trainer.step()
    before = trainer.ema["encoder.enter.weight"].clone()  # reinforcement starts from the average
    for _ in range(4):
        trainer.step()
    assert torch.equal(trainer.policy.state_dict()["encoder.enter.weight"], before)
    steps = {float(moments["step"]) for moments in trainer.optimiser.state_dict()["state"].values()}
    assert steps == {4.0}


def test_reinforcement_starts_from_the_averaged_weights(make: Make, tmp_path: Path) -> None:
    """Where it learns nothing, they are what it ends with."""
    trainer = Trainer(make(reinforcement={"iterations": 2, "lr": 0.0}), tmp_path / "run", CPU)
    for _ in range(4):
        trainer.step()
    average = {name: tensor.clone() for name, tensor in trainer.ema.items()}
    assert any(not torch.equal(tensor, average[name]) for name, tensor in trainer.policy.state_dict().items())
    trainer.step()
    trainer.step()
    for weights in (trainer.policy.state_dict(), trainer.ema):
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, average[name], rtol=1e-6, atol=1e-7)


def test_the_encoder_follows_the_policys_gradient_at_a_share(make: Make, tmp_path: Path) -> None:
    """Its first step is that share of a whole one, and that of the head is whole."""
    moved: dict[float, dict[str, Tensor]] = {}
    for share in (0.0, 0.25, 1.0):
        recipe = make(warm_start={"iterations": 0}, learner={"encoder_gradient": share})
        trainer = Trainer(recipe, tmp_path / str(share), CPU)
        before = {name: tensor.clone() for name, tensor in trainer.policy.state_dict().items()}
        trainer.step()
        moved[share] = {name: tensor - before[name] for name, tensor in trainer.policy.state_dict().items()}
    for name in moved[0.0]:
        encoder = name.startswith(("encoder", "to_residual"))
        torch.testing.assert_close(moved[0.0][name], moved[1.0][name] * (not encoder), rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(moved[0.25][name], moved[1.0][name] * (0.25 if encoder else 1), rtol=1e-3, atol=1e-6)
    assert moved[1.0]["to_residual.weight"].abs().max() > 1e-3


def test_the_learning_rate_is_the_recipes(make: Make, tmp_path: Path) -> None:
    trainer = Trainer(make(), tmp_path, CPU)
    for iteration in range(8):
        _, lr, _ = trainer.step()
        assert lr == trainer.recipe.phase(iteration)[1]
        assert [group["lr"] for group in trainer.optimiser.param_groups] == [lr]


def test_the_average_follows_quickly_at_first(make: Make, tmp_path: Path) -> None:
    trainer = Trainer(make(), tmp_path, CPU)
    name = "encoder.enter.weight"
    initial = trainer.policy.state_dict()[name].clone()
    trainer.step()
    weight = trainer.policy.state_dict()[name]
    torch.testing.assert_close(trainer.ema[name], 0.1 * initial + 0.9 * weight)  # (1 + 0) / (10 + 0)
    torch.testing.assert_close(trainer.averaged_policy().state_dict()[name], trainer.ema[name])


def test_a_policy_file_holds_the_average(make: Make, tmp_path: Path) -> None:
    train(make(), tmp_path)
    policy, card = load_policy(tmp_path / POLICY_FILE)
    saved = state(tmp_path)
    for name, tensor in policy.state_dict().items():
        assert torch.equal(tensor, saved[f"ema.{name}"])
    assert (card.name, card.kind, card.num_steps, card.condition) == ("tiny", "lookahead", 3, "sigma")
    assert card.training["iterations"] == 8
    assert card.training["recipe"] == make().as_dict() | {"data": card.training["recipe"]["data"]}


def test_validation_photos_are_not_trained_on(make: Make, tmp_path: Path) -> None:
    trainer = Trainer(make(), tmp_path, CPU)
    assert len(trainer.validation[""]) == 1
    assert len(trainer.crops["warm_start"].photos) == 2 * 4  # two scales
    held_out = (trainer.validation[""][0][0] * 255).round().to(torch.uint8)
    assert all(
        photo.shape != held_out.shape or not torch.equal(photo, held_out)
        for photo in trainer.crops["warm_start"].photos
    )


def test_validation_by_hand(make: Make, tmp_path: Path, photos: Path) -> None:
    """With weights that never move, estimate and result are the noisy image: 20 log10(255 / sigma) at 15, 25, 50."""
    for path in photos.iterdir():
        cv2.imwrite(str(path), np.full((120, 120), 128, np.uint8))
    train(make(warm_start={"iterations": 1, "lr": 0.0}, reinforcement={}), tmp_path / "run")
    row = rows(tmp_path / "run")[-1]
    expected = np.mean([20 * np.log10(255 / sigma) for sigma in (15, 25, 50)])
    assert float(row["psnr_estimate"]) == pytest.approx(expected, abs=0.1)
    assert float(row["psnr"]) == pytest.approx(expected, abs=0.1)


def test_more_photos_are_trained_on_and_validated_with(make: Make, tmp_path: Path, photos: Path) -> None:
    for name, side, level in (("more", 40, 77), ("others", 120, 128)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.full((side, side), level, np.uint8))
    data: dict[str, object] = {"folder": str(photos), "crop": 8, "batch": 2, "validation": 1}
    data |= {"more": str(tmp_path / "more"), "more_validation": str(tmp_path / "others")}
    recipe = make(data=data, warm_start={"iterations": 1, "lr": 0.0}, reinforcement={})
    shapes = [photo.shape for photo in Trainer(recipe, tmp_path / "run", CPU).crops["warm_start"].photos]
    assert shapes.count((1, 40, 40)) == 1
    assert len(shapes) == 4 + 1
    train(recipe, tmp_path / "run")
    row = rows(tmp_path / "run")[-1]
    # The weights are the first ones, so the result is the noisy picture.
    expected = np.mean([20 * np.log10(255 / sigma) for sigma in (15, 25, 50)])
    assert float(row["psnr_more"]) == pytest.approx(expected, abs=0.1)
    assert float(row["psnr_estimate_more"]) == pytest.approx(expected, abs=0.1)
    # The folders may move, and a policy file holds no path.
    training = load_policy(tmp_path / "run" / POLICY_FILE)[1].training
    assert training["recipe"]["data"]["more"] == "more"  # type: ignore[index]
    moved = (tmp_path / "more").rename(tmp_path / "moved")
    again = make(data={**data, "more": str(moved)}, warm_start={"iterations": 2}, reinforcement={})
    assert Trainer(again, tmp_path / "run", CPU).resume() == ["warm_start"]


def test_pairs_have_no_more_photos(make: Make, tmp_path: Path, photos: Path) -> None:
    recipe = make(
        task={"kind": "color-enhancement"}, data={"before": str(photos), "after": str(photos), "more": str(photos)}
    )
    with pytest.raises(UsageError, match=r"data\.more and data\.more_validation are not for tasks .* pairs; omit them"):
        Trainer(recipe, tmp_path, CPU)


def test_divergence_is_said(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the loss at iteration \d is (nan|inf); lower the learning rate and start"):
        train(make(warm_start={"iterations": 9, "lr": 1e30}), tmp_path)
    assert not (tmp_path / STATE_FILE).exists()


root = Action("root", lambda image: (image - 0.9).sqrt(), reach=0, color="#000000")


@pytest.mark.parametrize("iterations", [0, 2])
def test_an_operation_that_is_not_finite_is_named(iterations: int, make: Make, tmp_path: Path) -> None:
    """It is no matter of the learning rate."""
    task = {"kind": "gaussian-denoising", "num_steps": 2, "actions": ["do nothing", f"{__name__}:root", "median"]}
    words = rf"is nan: action '{__name__}:root' returns values that are not finite; mend it, or leave it out of task"
    with pytest.raises(UsageError, match=words) as refused:
        train(make(task=task, warm_start={"iterations": iterations}), tmp_path)
    assert "learning rate" not in str(refused.value)


def test_an_operation_that_is_finite_at_first_is_named() -> None:
    """The root of what `darker` made is none, that of the picture is."""
    darker = Action("darker", lambda image: image - 0.5, reach=0, color="#000000")
    actions = ActionSet(("do nothing", "median", f"{__name__}:root"))
    actions.actions = (actions.actions[0], darker, actions.actions[2])
    picture = torch.full((1, 1, 8, 8), 0.95)
    start = Episode(picture, picture, torch.zeros(1, 0, 1, 1), torch.ones(1, 1))
    assert not_finite(start, actions, 1) is None
    assert f"action '{__name__}:root' returns values" in str(not_finite(start, actions, 2))
    assert not_finite(start, ActionSet(PAPER_NINE), 3) is None


def test_a_task_that_begins_with_what_is_not_finite_is_said() -> None:
    picture = torch.full((1, 1, 8, 8), float("nan"))
    start = Episode(torch.zeros_like(picture), picture, torch.zeros(1, 0, 1, 1), torch.ones(1, 1))
    words = "the task begins with numbers that are not finite (Episode.target); mend it"
    assert not_finite(start, ActionSet(PAPER_NINE), 3) == words


@pytest.mark.parametrize("where", ["loss", "weights"])
def test_divergence_leaves_the_last_checkpoint_alone(make: Make, tmp_path: Path, where: str) -> None:
    """Weights that are lost just before they are saved must not be saved."""

    def spoil(progress: Progress) -> None:
        if progress.iteration == 5:
            torch.nn.init.constant_(trainer.policy.get_parameter("to_logits.bias"), float("nan"))
            if where == "weights":
                signal.raise_signal(signal.SIGINT)

    trainer = Trainer(make(), tmp_path, CPU, 1, 3)
    words = "the loss at iteration 5 is nan" if where == "loss" else "the weights after iteration 5 are not finite"
    with pytest.raises(UsageError, match=rf"{words}; lower .* --resume from .*{STATE_FILE}, which is of iteration 3"):
        trainer.run(report=spoil)
    assert train(make(), tmp_path, resume=True, validate_every=3)
    train(make(), tmp_path / "whole", validate_every=3)
    assert differing(tmp_path / "whole", tmp_path) == []


def test_a_policy_without_estimate_has_no_warm_start(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="forms no estimate"):
        train(make(policy=FCN), tmp_path)


def test_what_cannot_be_built_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="policy 'resnet' is unknown; known are fcn, consulting, lookahead"):
        Trainer(make(policy={"kind": "resnet"}), tmp_path, CPU)
    with pytest.raises(UsageError, match=r"cannot be built: depths = \[1, 1\] must be three whole numbers"):
        Trainer(make(policy={**LOOKAHEAD, "depths": [1, 1]}), tmp_path, CPU)
    with pytest.raises(UsageError, match=r"policy\.layers is unknown; known are policy\.num_channels"):
        Trainer(make(policy={**LOOKAHEAD, "layers": 4}), tmp_path, CPU)
    with pytest.raises(UsageError, match=r"policy\.num_actions is the number of the task's actions; leave it out"):
        Trainer(make(policy={**LOOKAHEAD, "num_actions": 9}), tmp_path, CPU)


@pytest.mark.parametrize("policy", [LOOKAHEAD, FCN, CONSULTING])
@pytest.mark.parametrize("channels", [2, 4, 0, "a", True, 1.5, [1]])
def test_pictures_are_grey_or_in_colour(
    policy: dict[str, object], channels: object, make: Make, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"policy\.num_channels = .* must be 1, for grey pictures, or 3, for colour"):
        Trainer(make(policy={**policy, "num_channels": channels}), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_what_is_no_number_is_shown_as_it_was_given(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"task\.sigma = NaN must be a list of 2 numbers"):
        Trainer(make(task={"kind": "gaussian-denoising", "sigma": float("nan")}), tmp_path, CPU)


@pytest.mark.parametrize("kind", ["camera-denoising", "saliency-editing", "color-enhancement"])
@pytest.mark.parametrize("policy", [FCN, {**FCN, "num_channels": 1}])
def test_a_task_in_colour_has_no_policy_for_grey(
    kind: str, policy: dict[str, object], make: Make, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"this task is for pictures in colour; set policy\.num_channels = 3"):
        Trainer(make(task={"kind": kind, "num_steps": 2}, policy=policy), tmp_path, CPU)


def test_a_folder_that_cannot_be_written(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        train(make(), tmp_path / "file")


def test_tensorboard_events(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    Trainer(make(), tmp_path, CPU, log_every=2).run(tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("estimate_loss")] == [2, 4]
    assert [event.step for event in events.Scalars("reward")] == [6, 8]
