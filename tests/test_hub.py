"""Policies as models of the Hugging Face Hub, by its own mixin, without a network."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelrl
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.errors import UsageError
from pixelrl.policy_files import about_policies

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
from pixelrl.hub import HubPolicy  # noqa: E402


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("this asked for a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def own(tmp_path: Path, randomise) -> Path:
    """A policy file of somebody's own, under a shipped name."""
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
    training = {"psnr": 27.123456, "recipe": {"name": "mine", "seed": 3}}
    card = PolicyCard("denoise-gray", "lookahead", arguments, ("do nothing", "median"), 3, "sigma", training)
    policy = card.build()
    randomise(policy)
    save_policy(tmp_path / "own.safetensors", policy, card)
    return tmp_path / "own.safetensors"


@pytest.mark.parametrize("name", ["denoise-gray", "poisson-gaussian-gray", "saliency-edit"])
def test_a_shipped_policy_goes_to_a_folder_and_comes_back(name: str, tmp_path: Path) -> None:
    HubPolicy.of(name).save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    back = HubPolicy.from_pretrained(tmp_path / "model")
    assert isinstance(back, huggingface_hub.PyTorchModelHubMixin)
    before = pixelrl.load(name, "cpu")
    assert back.card == before.card
    pairs = zip(back.policy.state_dict().items(), before.policy.state_dict().items(), strict=True)
    assert all(one[0] == other[0] and torch.equal(one[1], other[1]) for one, other in pairs)
    back.save_pretrained(tmp_path / "again")
    for file in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "model" / file).read_bytes()


def test_it_acts_as_before_and_its_file_is_a_policy_file(own: Path, tmp_path: Path) -> None:
    HubPolicy.of(own).save_pretrained(tmp_path / "model")
    image = np.random.default_rng(0).random((12, 14), np.float32)
    expected = pixelrl.load(own, "cpu")(image, sigma=20)
    for agent in (
        HubPolicy.from_pretrained(str(tmp_path / "model")).agent("cpu"),
        pixelrl.load(tmp_path / "model" / "model.safetensors", "cpu"),
    ):
        result = agent(image, sigma=20)
        assert np.array_equal(result.image, expected.image)
        assert torch.equal(result.trajectory.actions, expected.trajectory.actions)


def test_the_model_card_says_what_was_measured(tmp_path: Path) -> None:
    HubPolicy.of("denoise-gray").save_pretrained(tmp_path)
    card = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit"
    assert card.data.library_name == "pixelrl"
    assert card.data.pipeline_tag == "image-to-image"
    assert "pytorch_model_hub_mixin" in card.data.tags
    for measured in about_policies()["denoise-gray"].measured:
        assert f"| {measured.what} | |" in card.text
        assert f"| sigma 25 | {measured.lines()[1].split(': ')[1]} |" in card.text
    recipe = json.loads(re.search(r"```json\n(.*?)\n```", card.text, re.DOTALL)[1])
    assert recipe == pixelrl.load("denoise-gray", "cpu").card.training["recipe"]
    assert "bilateral 0.1" in card.text


def test_of_other_weights_no_number_is_claimed(own: Path, tmp_path: Path) -> None:
    """Whatever their name is."""
    HubPolicy.of(own).save_pretrained(tmp_path / "model", model_card_kwargs={"license": "cc0-1.0"})
    card = huggingface_hub.ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.license == "cc0-1.0"
    assert "Measured" not in card.text
    assert "BSD68" not in card.text
    assert "psnr: 27.123" in card.text
    assert '"name": "mine"' in card.text
    HubPolicy.of(own).save_pretrained(tmp_path / "plain")
    assert huggingface_hub.ModelCard.load(tmp_path / "plain" / "README.md").data.license is None


def test_the_example_of_the_card_runs(own: Path, tmp_path: Path) -> None:
    HubPolicy.of(own).save_pretrained(tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text()
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    names: dict[str, object] = {"image": np.zeros((8, 8), np.uint8)}
    exec(example.replace("FOLDER_OR_REPOSITORY", str(tmp_path / "model")), names)
    assert names["result"].image.shape == (8, 8)


def test_refusals(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no model\.safetensors"):
        HubPolicy.from_pretrained(tmp_path)
    with pytest.raises(UsageError, match="no policy of the Hub"):
        HubPolicy.from_pretrained("somebody/something", local_files_only=True)
    with pytest.raises(UsageError, match="no policy of the Hub"):
        HubPolicy.from_pretrained(tmp_path / "nothing")
    HubPolicy.of(own).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"no policy")
    with pytest.raises(UsageError, match="not a policy file"):
        HubPolicy.from_pretrained(tmp_path / "model")


def test_without_the_package_it_is_said_in_a_sentence() -> None:
    code = "import sys; sys.modules['huggingface_hub'] = None\ntry:\n    import pixelrl.hub\n"
    code += "except Exception as error:\n    print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = 'UsageError models of the Hub need a package that is not installed: pip install "pixelrl[hub]"'
    assert done.stdout.strip() == expected
