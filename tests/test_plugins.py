"""References to a user's own code: where modules are found, what is refused, and that a file imports nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pixelrl import plugins
from pixelrl.actions import Action, ActionSet
from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.errors import UsageError
from pixelrl.tasks import GaussianDenoising, build_task
from pixelrl.trace import Trace, load_trace, save_trace
from pixelrl.training.recipe import read_recipe
from pixelrl.training.trainer import Trainer

MINE = """
from pixelrl.actions import Action
from pixelrl.policies import FCN, Policy
from pixelrl.tasks import Task
from pixelrl.policies.fcn import Convolution
import {sibling}

class Mine(Task):
    def __init__(self, num_steps=2):
        self.num_steps = num_steps

    def degrade(self, clean, level, generator):
        raise NotImplementedError

    begin = None

class Net(Policy):
    stride = alignment = 1
    reach = 1
    reward_kernel = None
    takes_condition = False

    def __init__(self, num_actions):
        super().__init__()
        self.to_logits = Convolution(1, num_actions)

    def perceive(self, image, condition):
        return image[:, :0]

    def forward(self, image, outcomes, memory):
        raise NotImplementedError

    def estimate(self, memory, image):
        return None

darker = Action("darker", lambda image: image - 0.1, reach=0, color="#000000")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is not the current one, with ``mine_mod.py`` and a module that it imports."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "recipes" / "mine_mod.py").write_text(MINE.format(sibling="mine_sibling"))
    (tmp_path / "recipes" / "mine_sibling.py").write_text("")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(plugins, "_folders", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    yield tmp_path / "recipes"
    for name in set(sys.modules) - modules:
        if name.startswith("mine_"):
            del sys.modules[name]


def recipe(folder: Path) -> Path:
    file = folder / "r.toml"
    file.write_text(
        'name = "mine"\n[task]\nkind = "mine_mod:Mine"\n[policy]\nkind = "mine_mod:Net"\n[warm_start]\niterations = 1\n'
    )
    return file


def test_modules_are_found_beside_the_recipe(folder: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no module mine_mod, neither installed nor in {Path.cwd()}"):
        build_task("mine_mod:Mine", {})
    read_recipe(recipe(folder))
    assert "mine_mod" not in sys.modules  # to read a recipe runs nothing
    assert str(folder) not in sys.path
    assert type(build_task("mine_mod:Mine", {})).__name__ == "Mine"


def test_modules_are_found_in_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert build_task("mine_mod:Mine", {"num_steps": 3}).num_steps == 3


def test_a_user_s_action_is_called_by_its_reference(folder: Path) -> None:
    plugins.look_in(folder)
    actions = ActionSet(["do nothing", "mine_mod:darker"], may_import=True)
    assert actions.names == ("do nothing", "mine_mod:darker")
    assert isinstance(actions.actions[1], Action)
    outcomes = actions.outcomes(torch.full((1, 1, 2, 2), 0.5))
    torch.testing.assert_close(outcomes[:, 1], torch.full((1, 1, 2, 2), 0.4))


@pytest.mark.parametrize("what", ["policy", "action"])
def test_a_policy_file_imports_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.chdir(folder)  # where Python would find the module
    monkeypatch.syspath_prepend(str(folder))
    kind, arguments = ("mine_mod:Net", {}) if what == "policy" else ("fcn", {"width": 4})
    names = ("do nothing", "mine_mod:darker") if what == "action" else ("do nothing", "box")
    card = PolicyCard("p", kind, arguments, names, 2, None, {})
    plugins.import_module("mine_mod", "test")
    save_policy(Path("p.safetensors"), card.build(), card)
    del sys.modules["mine_mod"]
    message = f"{what} 'mine_mod:.*' is code, and a file may not import it.*pixelrl --import mine_mod"
    with pytest.raises(UsageError, match=message):
        load_policy(Path("p.safetensors"))
    assert "mine_mod" not in sys.modules
    plugins.import_named("mine_mod.py")
    policy, again = load_policy(Path("p.safetensors"))
    assert again == card
    assert type(policy).__name__ == type(card.build()).__name__


def test_a_trace_imports_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.chdir(folder)
    names = ("do nothing", "mine_mod:darker")
    pixels = np.full((4, 4), 100, np.uint8)
    save_trace(Path("t.npz"), Trace(pixels, np.ones((2, 1, 4, 4), np.uint8), names, "p"))
    with pytest.raises(UsageError, match="'mine_mod:darker' is code, and a file may not import it"):
        load_trace(Path("t.npz"))
    plugins.import_named("mine_mod")
    assert (load_trace(Path("t.npz")).replay() == 49).all()


def test_a_policy_file_cannot_name_just_anything() -> None:
    """What happens to be imported is not thereby a policy or an action."""
    for kind in ("os:system", "subprocess:Popen", "pixelrl.tasks:Task"):
        with pytest.raises(UsageError, match="is not a subclass of Policy"):
            PolicyCard("p", kind, {}, ("do nothing",), 1, None, {}).build()
    with pytest.raises(UsageError, match=r"'os:getcwd' is not a pixelrl\.actions\.Action"):
        ActionSet(["os:getcwd"])


def test_a_recipe_s_policy_and_actions_may_be_in_a_module_of_their_own(folder: Path, photos: Path) -> None:
    file = recipe(folder)
    text = file.read_text().replace('"mine_mod:Mine"', '"gaussian-denoising"\nactions = ["box", "mine_mod:darker"]')
    file.write_text(text)
    plan = read_recipe(file, [f"data.folder={photos}", "data.crop=8", "data.validation=1"])
    trainer = Trainer(plan, folder / "run", torch.device("cpu"))
    assert type(trainer.policy).__name__ == "Net"
    assert trainer.card.action_names == ("box", "mine_mod:darker")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    import numpy as np
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(np.full((16, 16), 50 * i, np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("content", "reference", "words"),
    [
        ("x = (", "mine_bad:X", r"module mine_bad cannot be imported: SyntaxError: .*mine_bad\.py, line 1"),
        (
            "import mine_nowhere",
            "mine_bad:X",
            "cannot be imported: ModuleNotFoundError: No module named 'mine_nowhere'",
        ),
        ("a = 1\nb = c", "mine_bad:X", r"NameError: name 'c' is not defined \(.*mine_bad\.py, line 2\)"),
        ("raise ValueError('one\\ntwo')", "mine_bad:X", "cannot be imported: ValueError: one two"),
        ("", "mine_bad:X", r"module mine_bad \(.*mine_bad\.py\) has no X"),
        ("X = 3", "mine_bad:X", "is not a subclass of Task"),
        ("", "mine_bad:", "is not of the form module:name"),
        ("", ":X", "is not of the form module:name"),
        ("", "mine-bad:X", "is not of the form module:name"),
        ("", "mine_bad.sub:X", r"mine_bad\.sub cannot be imported|there is no module mine_bad\.sub"),
    ],
)
def test_what_is_refused(folder: Path, content: str, reference: str, words: str) -> None:
    (folder / "mine_bad.py").write_text(content)
    plugins.look_in(folder)
    with pytest.raises(UsageError, match=words) as caught:
        build_task(reference, {})
    assert "\n" not in str(caught.value)


def test_a_module_with_the_name_of_an_installed_one(folder: Path) -> None:
    (folder / "colorsys.py").write_text("X = 1")
    plugins.look_in(folder)
    with pytest.raises(UsageError, match=r"colorsys\.py has the name of another module, .*; rename yours"):
        build_task("colorsys:X", {})


def test_import_on_the_command_line(folder: Path, run) -> None:
    card = PolicyCard("mine", "fcn", {"width": 4}, ("do nothing", "mine_mod:darker"), 2, None, {})
    plugins.import_named(str(folder / "mine_mod.py"))
    save_policy(Path("p.safetensors"), card.build(), card)
    del sys.modules["mine_mod"]
    from PIL import Image

    Image.new("L", (9, 7), 100).save("in.png")
    command = ("denoise", "in.png", "--policy", "p.safetensors", "-o", "out.png")
    code, _, err = run(*command)
    assert code == 2
    assert err.count("\n") == 1
    assert "pixelrl --import mine_mod ..." in err
    assert run("--import", folder / "mine_mod.py", *command)[0] == 0
    assert Path("out.png").is_file()
    assert run("--import", "mine_nothing", *command)[0] == 2
    assert run("--import", "nothing.py", *command)[0] == 2


def test_names_built_in_need_no_import() -> None:
    assert isinstance(build_task("gaussian-denoising", {}), GaussianDenoising)
    with pytest.raises(
        UsageError, match=r"task 'denoise' is unknown; known are gaussian-denoising, .*, and module:name"
    ):
        build_task("denoise", {})
