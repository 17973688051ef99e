"""Tasks as environments: what Gymnasium's, PettingZoo's, TorchRL's and Stable-Baselines3's own checkers say of every
task, and that what they are given is what the tasks and actions of this package do.
"""

from __future__ import annotations

import importlib
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

gymnasium = pytest.importorskip("gymnasium", reason="the environments need Gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from pixelrl.actions import Action  # noqa: E402
from pixelrl.envs import ENVIRONMENTS, FlatPixels, PixelEnv, PixelVectorEnv  # noqa: E402
from pixelrl.envs.episodes import LEAST_SIDE  # noqa: E402
from pixelrl.errors import UsageError  # noqa: E402
from pixelrl.imaging.metrics import psnr  # noqa: E402
from pixelrl.rollout import Trajectory  # noqa: E402
from pixelrl.tasks import TASKS, Episode, GaussianDenoising, Task, TextRemoval  # noqa: E402
from pixelrl.training.data import Photo  # noqa: E402

ROOT = Path(__file__).parents[1]
EXAMPLE, PAGE = ROOT / "examples" / "ppo_pixels.py", ROOT / "docs" / "environments.md"

# Operations leave [0, 1], and values are not clipped between steps; a bound would be a lie.
pytestmark = pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is")


def evenness(shown: Tensor) -> Tensor:
    return -shown.diff(dim=-1).abs().mean((1, 2, 3))


SCORE: dict[str, Any] = {"task_arguments": {"score": f"{__name__}:evenness"}}


@pytest.fixture(params=ENVIRONMENTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def needed(name: str) -> dict[str, Any]:
    return SCORE if name == "Rewarded-v0" else {}


def make(name: str, **arguments: Any) -> gymnasium.Env:
    return gymnasium.make(f"pixelrl.envs:{name}", **needed(name), **arguments)


def make_batch(name: str, **arguments: Any) -> PixelVectorEnv:
    return gymnasium.make_vec(f"pixelrl.envs:{name}", **needed(name), **arguments)


def envs_with(library: str) -> Any:
    """`pixelrl.envs`, or skip the test where a library is missing."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    return importlib.import_module("pixelrl.envs")


# --- The judges from outside ----------------------------------------------------------------------


def test_every_task_is_an_environment() -> None:
    assert {entry.task for entry in ENVIRONMENTS.values()} == set(TASKS)
    assert set(ENVIRONMENTS) <= set(gymnasium.registry)


def test_gymnasium_accepts_it(name: str) -> None:
    check_env(make(name, size=16).unwrapped)


def test_stable_baselines_accepts_it(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="Stable-Baselines3 is not installed")
    checker.check_env(FlatPixels(make(name, size=16)), skip_render_check=False)


def test_pettingzoo_accepts_it(name: str) -> None:
    envs = envs_with("pettingzoo")
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    def build() -> Any:
        return envs.PixelParallelEnv(make(name, size=6))

    parallel_api_test(build(), num_cycles=20)
    parallel_seed_test(build)


@pytest.mark.filterwarnings("ignore:Agent's (minimum|maximum) observation space value is")
def test_pettingzoo_accepts_it_in_turns() -> None:
    envs = envs_with("pettingzoo")
    from pettingzoo.test import api_test
    from pettingzoo.utils.conversions import parallel_to_aec

    api_test(parallel_to_aec(envs.PixelParallelEnv(make("Denoise-v0", size=4))), num_cycles=100)


def test_torchrl_accepts_it(name: str) -> None:
    envs = envs_with("torchrl")
    from torchrl.envs.utils import check_env_specs

    env = envs.PixelTensorDictEnv(make_batch(name, num_envs=2, size=16))
    check_env_specs(env, seed=0, break_when_any_done=True)
    check_env_specs(env, break_when_any_done=False)


# --- What they are given --------------------------------------------------------------------------


def photo(channels: int = 1, side: int = 40, seed: int = 3) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (channels, side, side), np.uint8)
    return Photo(f"seed {seed}", torch.from_numpy(pixels))


def small(**arguments: Any) -> PixelEnv:
    return PixelEnv(**{"pictures": [photo()], "size": 16} | arguments)


def test_an_episode_is_that_of_the_task_and_its_actions() -> None:
    """Its pictures are those of a trajectory with these maps, and what it earns is how much nearer it came."""
    env = small(level=25.0)
    observation, info = env.reset(seed=1)
    assert env.planes == ("grey", "sigma", "time")
    assert info == {}
    assert observation.dtype == np.float32
    np.testing.assert_array_equal(observation[1], np.float32(25 / 255))
    start = env.episodes._start
    assert start is not None
    maps, rewards, images = [], [], []
    env.action_space.seed(0)
    for t in range(5):
        np.testing.assert_array_equal(observation[2], np.float32(t / 5))
        action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        assert (terminated, truncated) == (t == 4, False)
        assert info["reward_map"].shape == (16, 16)
        assert info["reward_map"].dtype == np.float32
        assert reward == pytest.approx(info["reward_map"].mean(), abs=1e-6)
        assert info["reward_map"].std() > 0
        assert ("psnr" in info) == terminated
        maps.append(torch.from_numpy(action)[None, None].to(torch.uint8))
        rewards.append(reward)
        images.append(torch.from_numpy(observation[:1])[None])
    trajectory = Trajectory(start.image, torch.stack(maps), GaussianDenoising().action_names)
    for image, replayed in zip(images, list(trajectory.images())[1:], strict=True):
        assert torch.equal(image, replayed)
    first, last = ((image - start.target).square().mean().item() for image in (start.image, images[-1]))
    assert sum(rewards) == pytest.approx(255 * start.reward_scale.item() * (first - last), rel=1e-4)
    assert info["psnr"] == pytest.approx(psnr(images[-1], start.target).item())
    assert observation[2].max() == 1


def test_a_batch_is_as_many_environments_on_tensors() -> None:
    """One of one picture is the environment of it; after the last step the next episodes have begun."""
    one, batch = small(), PixelVectorEnv(1, pictures=[photo()], size=16)
    seen, _ = one.reset(seed=5)
    seen_too, _ = batch.reset(seed=5)
    assert torch.equal(torch.from_numpy(seen)[None], seen_too)
    one.action_space.seed(5)
    for t in range(5):
        action = one.action_space.sample()
        seen, reward, ended, _, info = one.step(action)
        seen_too, rewards, terminations, truncations, infos = batch.step(torch.from_numpy(action)[None])
        assert rewards.dtype == torch.float32
        assert rewards.item() == reward
        assert terminations.tolist() == [ended] == [t == 4]
        assert truncations.tolist() == [False]
        assert torch.equal(infos["reward_map"][0], torch.from_numpy(info["reward_map"]))
        assert torch.equal(infos.get("final_obs", seen_too)[0], torch.from_numpy(seen))
    assert infos["final_info"]["psnr"].item() == info["psnr"]
    assert infos["_final_obs"].tolist() == [True]
    assert torch.equal(seen_too[0], torch.from_numpy(one.reset()[0]))


def test_the_pictures_of_a_batch_differ() -> None:
    batch = make_batch("Denoise-v0", num_envs=3, size=8)
    assert isinstance(batch.unwrapped, PixelVectorEnv)
    observation, _ = batch.reset(seed=0)
    assert observation.shape == batch.observation_space.shape == (3, 3, 8, 8)
    assert batch.action_space.contains(batch.action_space.sample())
    assert not torch.equal(observation[0], observation[1])
    assert torch.equal(batch.reset(seed=0)[0], observation)
    assert not torch.equal(batch.reset(seed=1)[0], observation)


def test_gymnasium_s_own_batches_and_wrappers_take_it() -> None:
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    envs = RecordEpisodeStatistics(make_batch("Denoise-v0", num_envs=2, size=8, vectorization_mode="sync"))
    envs.reset(seed=0)
    for _ in range(5):
        *_, infos = envs.step(np.zeros((2, 8, 8), np.int64))
    assert infos["episode"]["l"].tolist() == [5, 5]


def test_flat_pixels_are_those_of_the_picture_row_by_row() -> None:
    flat, env = FlatPixels(small()), small()
    observation, _ = flat.reset(seed=2)
    np.testing.assert_array_equal(observation, env.reset(seed=2)[0].ravel())
    action = np.random.default_rng(0).integers(0, 9, (16, 16))
    assert flat.action_space.contains(action.ravel())
    one, other = flat.step(action.ravel()), env.step(action)
    np.testing.assert_array_equal(one[0], other[0].ravel())
    assert one[1:4] == other[1:4]
    with pytest.raises(UsageError, match=r"of shape \(16, 16\); give \(256,\)"):
        flat.step(action)


def test_stable_baselines_learns_on_it() -> None:
    algorithms = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")
    model = algorithms.PPO("MlpPolicy", FlatPixels(small(size=6)), n_steps=16, batch_size=16, n_epochs=1, seed=0)
    before = [weight.clone() for weight in model.policy.parameters()]
    model.learn(16)
    assert any(not torch.equal(*pair) for pair in zip(before, model.policy.parameters(), strict=True))


def test_each_agent_sees_around_its_pixel_and_earns_its_own_reward() -> None:
    envs = envs_with("pettingzoo")
    env, alone = envs.PixelParallelEnv(small(size=6), radius=1), small(size=6)
    seen, infos = env.reset(seed=4)
    whole, _ = alone.reset(seed=4)
    assert len(env.agents) == 36
    assert infos["pixel_5_5"] == {}
    np.testing.assert_array_equal(env.state(), whole)
    np.testing.assert_array_equal(seen["pixel_2_3"], whole[:, 1:4, 2:5])
    np.testing.assert_array_equal(seen["pixel_0_0"][:, 1:, 1:], whole[:, :2, :2])
    np.testing.assert_array_equal(seen["pixel_0_0"][:, 0, 1:], whole[:, 0, :2])  # beyond the edge, what is nearest
    actions = np.random.default_rng(0).integers(0, 9, (6, 6))
    seen, rewards, *_ = env.step({f"pixel_{y}_{x}": int(actions[y, x]) for y in range(6) for x in range(6)})
    after, reward, _, _, info = alone.step(actions)
    assert rewards["pixel_4_1"] == info["reward_map"][4, 1]
    assert np.mean(list(rewards.values())) == pytest.approx(reward, abs=1e-6)
    np.testing.assert_array_equal(seen["pixel_4_1"][:, 1, 1], after[:, 4, 1])
    with pytest.raises(UsageError, match=r"agent pixel_0_1 has no action"):
        env.step({"pixel_0_0": 1})


def test_a_tensordict_holds_what_the_batch_does() -> None:
    envs = envs_with("torchrl")
    batch, twin = (PixelVectorEnv(2, pictures=[photo()], size=16) for _ in range(2))
    env = envs.PixelTensorDictEnv(batch)
    env.set_seed(7)
    twin.episodes.seed(7)
    data = env.rollout(7, break_when_any_done=False)
    assert data.batch_size == (2, 7)
    assert data["next", "terminated"][..., 0].tolist() == 2 * [4 * [False] + [True] + 2 * [False]]
    observation = twin.episodes.begin()
    for t in range(7):
        assert torch.equal(data["observation"][:, t], observation)
        observation, rewards, _, _, infos = twin.step(data["action"][:, t])
        assert torch.equal(data["next", "reward"][:, t, 0], rewards)
        assert torch.equal(data["next", "reward_map"][:, t], infos["reward_map"])
        assert torch.equal(data["next", "observation"][:, t], infos.get("final_obs", observation))
    one_of_two = env.reset().set("_reset", torch.tensor([[True], [False]]))
    with pytest.raises(UsageError, match="reset all of them"):
        env.reset(one_of_two)


def test_small_pictures_are_the_middle_of_larger_ones() -> None:
    """Camera noise cannot be made of six pixels a side."""
    colors = [photo(3)]
    small_one = PixelEnv("camera-denoising", pictures=colors, size=6, channels=3)
    large_one = PixelEnv("camera-denoising", pictures=colors, size=LEAST_SIDE, channels=3)
    inside = slice(5, 11)
    np.testing.assert_array_equal(small_one.reset(seed=0)[0], large_one.reset(seed=0)[0][:, inside, inside])


@pytest.mark.parametrize(("name", "channels"), [("gaussian-denoising", 1), ("color-enhancement", 6)])
def test_pictures_are_drawn_in_srgb(name: str, channels: int) -> None:
    even = Photo("even", torch.full((channels, 20, 20), 51, dtype=torch.uint8))
    env = PixelEnv(name, pictures=[even], size=16, channels=min(channels, 3), level=0.0, render_mode="rgb_array")
    env.reset(seed=0)
    drawn = env.render()
    assert drawn is not None
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, np.full((16, 16, 3), 51))
    assert small().render() is None


def test_pictures_come_from_folders(tmp_path: Path) -> None:
    for folder, value in (("before", 51), ("after", 102)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "one.png"), np.full((20, 20, 3), value, np.uint8))
    env = PixelEnv(TextRemoval(), pictures=tmp_path / "before", size=16, level=12.0)
    assert np.isclose(env.reset(seed=0)[0][0], 51 / 255).any()
    pair = (tmp_path / "before", tmp_path / "after")
    env = PixelEnv("color-enhancement", pictures=pair, size=16, channels=3, render_mode="rgb_array")
    env.reset(seed=0)
    drawn = env.render()
    assert drawn is not None
    assert (drawn == 51).all()
    assert env.episodes._start is not None
    assert (env.episodes._start.target > env.episodes._start.image).all()


brighter = Action("brighter", lambda image: image + 0.125, reach=0, color="#ffd34d")


class Brighter(Task):
    """A task of one's own, with an operation of one's own: dark pictures, which should become brighter."""

    action_names = ("do nothing", f"{__name__}:brighter")
    levels, num_steps = (0.0,), 1

    def begin(self, clean: Tensor, generator: torch.Generator) -> Episode:
        return Episode(clean - 0.125, clean, clean.new_zeros((len(clean), 1, 1, 1)), clean.new_ones((len(clean), 1)))

    def degrade(self, clean: Tensor, level: float, generator: torch.Generator) -> Episode:
        return self.begin(clean, generator)


@pytest.mark.parametrize("task", [Brighter(), f"{__name__}:Brighter"], ids=["built", "named"])
def test_a_task_of_one_s_own_is_an_environment(task: Task | str) -> None:
    env = small(task=task)
    env.reset(seed=0)
    chosen = np.eye(16, dtype=np.int64)
    reward_map = env.step(chosen)[4]["reward_map"]
    np.testing.assert_allclose(reward_map, 255 * 0.125**2 * chosen, atol=1e-4)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "denoising"}, "task 'denoising' is unknown"),
        ({"size": 0}, "size = 0 is no number of pixels"),
        ({"size": 41}, "size = 41 does not fit into seed 3 of 40x40 pixels"),
        ({"channels": 2}, "channels = 2 is unknown"),
        ({"channels": 3}, "picture seed 3 has 1 channels; give 3"),
        ({"task": "camera-denoising"}, "played on pictures in colour; give channels=3"),
        ({"task": "color-enhancement", "channels": 3, "pictures": "folder"}, "takes two folders, before and after"),
        ({"pictures": ("before", "after")}, "takes one folder, or pictures in memory"),
        ({"pictures": []}, "the list of pictures is empty"),
        ({"task": TextRemoval(), "task_arguments": {"num_steps": 2}}, "give them to the task itself"),
        ({"render_mode": "human"}, "render_mode = 'human' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        small(**arguments)


def test_steps_are_refused_outside_an_episode_and_without_an_action_for_each_pixel() -> None:
    env, right = small(task_arguments={"num_steps": 1}), np.ones((16, 16), np.int64)
    with pytest.raises(UsageError, match="call reset first"):
        env.step(right)
    for wrong, words in ((right[:8], r"shape \(1, 8, 16\); give one for each pixel"), (9 * right, "holds 0 to 8")):
        env.reset()
        with pytest.raises(UsageError, match=words):
            env.step(wrong)
    env.reset()
    assert env.step(right)[2]
    with pytest.raises(UsageError, match="call reset first"):
        env.step(right)
    with pytest.raises(UsageError, match="give one seed, not a list"):
        PixelVectorEnv(2, pictures=[photo()], size=16).reset(seed=[1, 2])


def test_other_environments_are_refused() -> None:
    other = gymnasium.make("CartPole-v1")
    with pytest.raises(UsageError, match="is no environment of pixels"):
        FlatPixels(other)


def test_the_extra_is_named_where_gymnasium_is_missing() -> None:
    code = "import sys; sys.modules['gymnasium'] = None; import pixelrl.envs"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert 'UsageError: pixelrl.envs needs gymnasium: pip install "pixelrl[gym]"' in done.stderr


@pytest.mark.parametrize(
    ("imported", "module", "extra"),
    [("pettingzoo", "parallel", "pettingzoo"), ("torchrl.data", "tensordicts", "torchrl")],
)
def test_the_extra_is_named_where_a_library_is_missing(
    imported: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"pixelrl.envs.{module}", raising=False)
    monkeypatch.setitem(sys.modules, imported, None)
    with pytest.raises(UsageError, match=rf'needs {extra}: pip install "pixelrl\[{extra}\]"'):
        importlib.import_module(f"pixelrl.envs.{module}")


# --- The example ----------------------------------------------------------------------------------


def learned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], iterations: int) -> float:
    """The share of the agents that do what is best, in per cent, as the example says it."""
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--iterations", str(iterations)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    return float(capsys.readouterr().out.splitlines()[-1].split()[0])


def test_the_example_learns_what_is_best(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert learned(monkeypatch, capsys, iterations=0) < 70
    assert learned(monkeypatch, capsys, iterations=12) >= 95
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 150


# --- The page -------------------------------------------------------------------------------------


def rows(columns: int) -> list[list[str]]:
    """The rows of the page's tables of so many columns, without the heads."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in cells if len(row) == columns and not row[0].startswith("---")]


def test_the_page_s_table_is_what_the_environments_are() -> None:
    table = {row[0].strip("`"): row[1:] for row in rows(7)[1:]}
    assert set(table) == set(ENVIRONMENTS)
    for name, (task, planes, operations, steps, _, metric) in table.items():
        env = make(name).unwrapped
        assert task.strip("`") == ENVIRONMENTS[name].task
        assert int(planes.split(":")[0]) == env.observation_space.shape[0] == len(env.planes)
        assert int(operations) == len(env.action_names)
        assert int(steps) == env.episodes.task.num_steps
        assert metric.strip("`") == env.episodes.task.metric_name


def test_the_page_names_the_versions_that_are_tested() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    said = {row[0].lower(): row[1] for row in rows(4)[1:]}
    assert said == {name: pinned[name] for name in ("gymnasium", "stable-baselines3", "pettingzoo", "torchrl")}
