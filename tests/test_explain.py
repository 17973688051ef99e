"""The report: what it says must be what happened, and the page must stand on its own."""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import pixelrl
from browser import browser_page
from pixelrl.actions import ACTIONS, PAPER_NINE
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard, save_policy
from pixelrl.cli import main
from pixelrl.edits import Edit
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.metrics import agreement, psnr, step_bits
from pixelrl.pictures.arrays import Array
from pixelrl.pictures.values import array_to_tensor
from pixelrl.report import planes as explain_planes
from pixelrl.report.animation import draw, frames
from pixelrl.report.asked import asked_again
from pixelrl.report.maps import telling_window
from pixelrl.report.page import report_html
from pixelrl.report.worth import change, contributions, cropped, without
from pixelrl.trace import Trace, save_trace

STEPS, HEIGHT, WIDTH = 3, 36, 44


def make_agent(randomise, channels: int = 1, kind: str = "lookahead") -> Agent:
    arguments: dict[str, object] = {"num_channels": channels}
    if kind == "lookahead":
        arguments |= {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
    card = PolicyCard("small", kind, arguments, PAPER_NINE, STEPS, "sigma", {})
    network = card.build()
    randomise(network)
    return Agent(network.eval(), card, torch.device("cpu"))


@pytest.fixture
def agent(randomise) -> Agent:
    return make_agent(randomise)


def clean_pixels(channels: int = 0) -> Array:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    plane = 127 + 60 * np.sin(columns / 5) + 40 * np.cos(rows / 4)
    pixels = plane if not channels else np.stack([plane, plane[::-1], 0.7 * plane], -1)
    return pixels.astype(np.uint8)


def noisy_pixels(channels: int = 0) -> Array:
    clean = clean_pixels(channels)
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


class Page(HTMLParser):
    """What a page holds: its data, its packed arrays, its elements and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.scripts: dict[str, str] = {}
        self.open: str | None = None
        self.title = ""
        self.feed(text)
        self.close()
        self.data: dict[str, Any] = json.loads(self.scripts["data"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        self.open = named.get("id", tag) if tag == "script" else tag
        self.addresses += [str(named[name]) for name in ("src", "href", "action", "data", "srcset") if name in named]

    def handle_endtag(self, tag: str) -> None:
        self.open = None

    def handle_data(self, data: str) -> None:
        if self.open == "title":
            self.title += data
        if self.open is not None:
            self.scripts[self.open] = self.scripts.get(self.open, "") + data

    def plane(self, spec: dict[str, Any]) -> np.ndarray:
        raw = zlib.decompress(base64.b64decode(self.scripts[f"plane-{spec['id']}"]))
        return np.frombuffer(raw, spec["type"]).reshape(spec["shape"])


def images_in(page: Page, view: int = 0) -> np.ndarray:
    return page.plane(page.data["views"][view]["values"]).astype(int).cumsum(0) / 10


@pytest.mark.parametrize(("kind", "channels"), [("lookahead", 0), ("lookahead", 3), ("fcn", 0)])
def test_probabilities_sum_to_one_and_favour_what_was_done(randomise, kind: str, channels: int) -> None:
    agent = make_agent(randomise, 1, kind)
    trace = agent(noisy_pixels(channels), sigma=25).trace()
    looks = list(asked_again(trace, agent, lambda logits: logits.softmax(1).flatten(1, 2), tile=None))
    assert len(looks) == STEPS
    for step, look in zip(trace.actions, looks, strict=True):
        likely = look.unflatten(1, (len(PAPER_NINE), -1))
        torch.testing.assert_close(likely.sum(1), torch.ones_like(likely[:, 0]))
        assert np.array_equal(likely.argmax(1).flatten(0, 1).numpy(), step)


def test_colour_policies_and_tiles_are_asked_alike(randomise) -> None:
    agent = make_agent(randomise, 3)
    trace = agent(noisy_pixels(3), sigma=25).trace()
    whole = torch.stack([*asked_again(trace, agent, lambda logits: logits.argmax(1), tile=None)])
    tiled = torch.stack([*asked_again(trace, agent, lambda logits: logits.argmax(1), tile=16)])
    assert np.array_equal(whole[:, 0].numpy(), trace.actions)
    assert (whole != tiled).double().mean() < 0.01


def test_the_recorded_action_is_done_even_if_the_policy_would_not(agent: Agent) -> None:
    trace = agent(noisy_pixels(), sigma=25).trace()
    other = replace(trace, actions=np.full_like(trace.actions, PAPER_NINE.index("box")))
    page = Page(report_html(other, agent=agent))
    torch.testing.assert_close(
        torch.from_numpy(images_in(page)),
        255 * torch.cat([*other.trajectory().images()]).double(),
        rtol=0,
        atol=0.051,
    )
    assert page.data["agreement"] < 0.9


def test_contributions_sum_to_the_gain_in_psnr(agent: Agent) -> None:
    trace, target = agent(noisy_pixels(), sigma=25).trace(), array_to_tensor(clean_pixels())
    images = list(trace.trajectory().images())
    worth = contributions(images, trace.trajectory(), target)
    gains = [(psnr(b, target) - psnr(a, target)).item() for a, b in pairwise(images)]
    np.testing.assert_allclose(worth.sum(1), gains, rtol=1e-9, atol=1e-12)
    assert worth.sum() == pytest.approx(psnr(images[-1], target).item() - psnr(images[0], target).item())


def test_contributions_of_an_episode_counted_by_hand() -> None:
    # Values 100 and 200 become 101 and 199; the clean ones are 102 and 200: errors 4, 0 become 1, 1.
    trace = Trace(
        np.array([[100, 200]], np.uint8),
        np.array([[[[0, 1]]]], np.uint8),
        ("grey level +1", "grey level -1", "do nothing"),
        "p",
    )
    target = array_to_tensor(np.array([[102, 200]], np.uint8))
    worth = contributions([*trace.trajectory().images()], trace.trajectory(), target)
    gain = 10 * np.log10(2 / 1)
    # The rewards are +3 and -1, the sum is 2: of the gain, 3/2 and -1/2.
    np.testing.assert_allclose(worth, [[1.5 * gain, -0.5 * gain, 0]])


def test_contributions_where_rewards_cancel_or_errors_vanish() -> None:
    names = ("grey level +1", "grey level -1")
    trace = Trace(np.array([[100, 100]], np.uint8), np.array([[[[0, 1]]]], np.uint8), names, "p")
    images = [*trace.trajectory().images()]
    worth = contributions(images, trace.trajectory(), array_to_tensor(np.array([[105, 105]], np.uint8)))
    # Errors 25, 25 become 16, 36: the sum of the rewards +9, -11 is almost nothing, the shares are finite.
    assert worth[0, 0] > 0 > worth[0, 1]
    assert np.isfinite(worth).all()
    perfect = contributions(images, trace.trajectory(), array_to_tensor(np.array([[101, 99]], np.uint8)))
    assert np.isnan(perfect).all()


def test_changes_are_counted_in_grey_levels() -> None:
    before = torch.zeros(1, 3, 2, 2)
    after = before.clone()
    after[0, 1, 0, 0] = 12 / 255
    after[0, 1, 1, 1] = 1e-5
    mean, share = change(before, after)
    assert mean == pytest.approx(1, abs=1e-3)
    assert share == 0.25


def test_what_if_is_an_edited_replay(agent: Agent) -> None:
    trace = agent(noisy_pixels(), sigma=25).trace()
    trajectory = trace.trajectory()
    page = Page(report_html(trace, agent=agent))
    used = {name for i, name in enumerate(PAPER_NINE) if (trace.actions == i).any()} - {"do nothing"}
    assert used
    assert {PAPER_NINE[entry["action"]] for entry in page.data["without"]} == used
    for entry in page.data["without"]:
        name = PAPER_NINE[entry["action"]]
        edited = trajectory.edited([Edit(actions=(name,), force="do nothing")])
        assert torch.equal(without(trajectory, name), edited.final())
        result = trace.replay().astype(int) + page.plane(entry["difference"])[0]
        assert np.array_equal(result, replace(trace, actions=edited.actions[:, 0].numpy()).replay())


def test_a_part_is_the_whole_away_from_the_cut(agent: Agent) -> None:
    trajectory = agent(noisy_pixels(), sigma=25).trace().trajectory()
    margin = 2 * STEPS
    part = cropped(trajectory, (4, 2, 40, 34)).final()[..., margin:-margin, margin:-margin]
    whole = trajectory.final()[..., 2 + margin : 34 - margin, 4 + margin : 40 - margin]
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-6)


def stands_alone(text: str) -> Page:
    page = Page(text)
    assert all(address.startswith("#") for address in page.addresses), page.addresses
    assert not {"link", "iframe", "object", "embed", "img", "base", "form"} & set(page.tags)
    scripts = "".join(text for name, text in page.scripts.items() if not name.startswith("plane-"))
    addresses = set(re.findall(r"\w+://[\w./]+", scripts))
    assert addresses <= {"http://www.w3.org/2000/svg"}, addresses  # a name of a kind of element, nothing that loads
    assert not re.search(r"\bfetch\(|XMLHttpRequest|importScripts|@import|url\(|innerHTML|eval\(", scripts)
    assert "default-src 'none'" in text
    return page


@pytest.mark.parametrize(
    ("channels", "policy_channels", "with_reference"), [(0, 1, True), (0, 1, False), (3, 1, True), (3, 3, True)]
)
def test_the_page_holds_what_happened(randomise, channels: int, policy_channels: int, with_reference: bool) -> None:
    agent = make_agent(randomise, policy_channels)
    trace = agent(noisy_pixels(channels), sigma=25).trace()
    reference = clean_pixels(channels) if with_reference else None
    page = stands_alone(report_html(trace, reference, agent))
    data, view = page.data, page.data["views"][0]
    assert (data["width"], data["height"], data["steps"], data["agents"]) == (WIDTH, HEIGHT, STEPS, max(1, channels))
    assert np.array_equal(page.plane(view["actions"]), trace.actions)
    percent = page.plane(view["percent"]).astype(int)
    assert percent.shape == (STEPS, len(PAPER_NINE), max(1, channels), HEIGHT, WIDTH)
    assert np.abs(percent.sum(1) - 100).max() <= len(PAPER_NINE) / 2
    chosen = np.take_along_axis(percent, trace.actions[:, None], 1)
    assert (chosen == percent.max(1, keepdims=True)).all()
    assert page.plane(view["unsure"]).shape == (STEPS, HEIGHT, WIDTH)
    assert data["agreement"] == 1
    maps = torch.from_numpy(trace.actions)[:, None]
    assert data["bits"] == pytest.approx(step_bits(maps)[:, 0].tolist())
    assert data["alike"] == pytest.approx(agreement(maps)[:, 0].tolist())
    assert data["doubt"] == ""
    np.testing.assert_allclose(images_in(page)[0], 255 * array_to_tensor(trace.pixels)[0].numpy(), atol=0.051)
    if with_reference:
        assert np.sum(data["worth"]) == pytest.approx(data["psnr"][-1] - data["psnr"][0])
    else:
        assert data["psnr"] is None
        assert data["worth"] is None


@pytest.mark.parametrize(
    "odd", ['</script><img src=x onerror="alert(1)">', "a & b <!-- ]]> {{data}}", "two\nlines σ\u2028"]
)
def test_odd_names_stay_text(agent: Agent, odd: str) -> None:
    trace = replace(agent(noisy_pixels(), sigma=25).trace(), policy=odd, condition={"sigma": 25.0, odd: 1.0})
    page = stands_alone(report_html(trace))
    assert page.data["policy"] == odd
    assert page.data["condition"][odd] == 1
    assert page.title.startswith(odd)
    assert "img" not in page.tags


def test_without_its_policy_a_page_says_so(agent: Agent, randomise) -> None:
    trace = agent(noisy_pixels(), sigma=25).trace()
    page = stands_alone(report_html(trace))
    assert "no policy named 'small' is shipped (denoise-color, " in page.data["doubt"]
    assert "percent" not in page.data["views"][0]
    colour, two = make_agent(randomise, 3), replace(trace, pixels=np.dstack([trace.pixels] * 2))
    assert "takes 3 channels, the image has 2" in Page(report_html(two, agent=colour)).data["doubt"]
    assert Page(report_html(trace, agent=colour)).data["doubt"] == ""  # it sees a grey picture as three equal channels
    untold = replace(trace, condition={})
    assert "does not say which sigma" in Page(report_html(untold, agent=agent)).data["doubt"]
    other = Trace(trace.pixels, np.zeros((1, 1, HEIGHT, WIDTH), np.uint8), ("box", "do nothing"), "p", trace.condition)
    assert "other operations" in Page(report_html(other, agent=agent)).data["doubt"]


def test_no_steps_make_a_page(agent: Agent) -> None:
    page = stands_alone(report_html(agent(noisy_pixels(), sigma=25, steps=0).trace(), clean_pixels(), agent))
    assert page.data["steps"] == 0
    assert page.data["without"] == []
    assert len(page.data["psnr"]) == 1


def test_a_perfect_picture_and_one_without_do_nothing_make_pages() -> None:
    trace = Trace(clean_pixels(), np.zeros((1, 1, HEIGHT, WIDTH), np.uint8), ("box", "median"), "p")
    page = stands_alone(report_html(trace, clean_pixels()))
    assert page.data["psnr"][0] is None
    assert page.data["worth"] == [[None, None]]
    assert page.data["without"] == []


def test_of_a_large_picture_a_region_and_an_overview(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_planes, "LARGEST", 1000)
    monkeypatch.setattr(explain_planes, "WINDOW", 20)
    monkeypatch.setattr(explain_planes, "OVERVIEW", 400)
    trace = agent(noisy_pixels(), sigma=25).trace()
    page = stands_alone(report_html(trace, clean_pixels(), agent))
    region, whole = page.data["views"]
    assert region["box"] == list(telling_window(trace, 10))
    x0, y0, x1, y1 = region["box"]
    assert (x1 - x0, y1 - y0) == (20, 20)
    assert np.array_equal(page.plane(region["actions"]), trace.actions[..., y0:y1, x0:x1])
    assert page.plane(region["percent"]).shape == (STEPS, 9, 1, 20, 20)
    np.testing.assert_allclose(images_in(page)[0, 0], trace.pixels[y0:y1, x0:x1], atol=0.051)
    assert (whole["name"], whole["shrink"]) == ("whole", 2)
    assert "percent" not in whole
    assert page.plane(whole["actions"]).shape == (STEPS, 1, 18, 22)
    np.testing.assert_allclose(images_in(page, 1)[0, 0, 0, 0], trace.pixels[:2, :2].mean(), atol=0.051)
    given = Page(report_html(trace, region=(3, 4, 15, 10)))
    assert given.data["views"][0]["box"] == [3, 4, 15, 10]
    for entry in given.data["without"]:
        edited = trace.trajectory().edited([Edit(actions=(PAPER_NINE[entry["action"]],), force="do nothing")])
        change_there = replace(trace, actions=edited.actions[:, 0].numpy()).replay().astype(int) - trace.replay()
        assert np.array_equal(given.plane(entry["difference"])[0], change_there[4:10, 3:15])


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ((0, 0, 60, 5), "region 0,0,60,5 does not lie inside the picture of 44x36"),
        ((5, 5, 5, 9), "region 5,5,5,9 holds no pixel: x1 = 5"),
    ],
)
def test_regions_that_cannot_be_shown(agent: Agent, region: tuple[int, int, int, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        report_html(agent(noisy_pixels(), sigma=25).trace(), region=region)


def test_a_region_too_large_and_another_shape(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = agent(noisy_pixels(), sigma=25).trace()
    monkeypatch.setattr(explain_planes, "LARGEST", 100)
    with pytest.raises(UsageError, match="more than the 100 pixels"):
        report_html(trace, region=(0, 0, 20, 20))
    with pytest.raises(InputError, match=r"\(3, 4\).*\(36, 44\)"):
        report_html(trace, np.zeros((3, 4), np.uint8))


@pytest.mark.parametrize(("channels", "ending"), [(0, ".gif"), (3, ".gif"), (0, ".webp")])
def test_animations_show_every_step_in_the_actions_colours(
    agent: Agent, tmp_path: Path, channels: int, ending: str
) -> None:
    trace = agent(noisy_pixels(channels), sigma=25).trace()
    drawn = frames(trace, clean_pixels(channels))
    assert len(drawn) == STEPS + 1
    path = tmp_path / f"film{ending}"
    draw(path, trace, clean_pixels(channels))
    with PillowImage.open(path) as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (STEPS + 1, drawn[0].size, 0)
        for t in range(1, STEPS + 1):
            film.seek(t)
            shown = np.asarray(film.convert("RGB"))
            for i, name in enumerate(PAPER_NINE):
                color = np.array(list(bytes.fromhex(ACTIONS[name].color[1:])))
                there = (np.asarray(drawn[t]) == color).all(-1)
                assert (shown[there] == color).all()
                # Each agent is a square of 11 x 11 or 8 x 8 pixels; the swatch in the legend comes on top.
                assert there.sum() >= int((trace.actions[t - 1] == i).sum()) * (8 * 8 if channels else 11 * 11)
            assert ending == ".gif" or np.array_equal(shown, np.asarray(drawn[t]))
    with pytest.raises(UsageError, match="exists"):
        draw(path, trace)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["pixelrl", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_command_line(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_trace(Path("t.npz"), agent(noisy_pixels(), sigma=25).trace())
    save_policy(Path("p.safetensors"), agent.policy, agent.card)
    PillowImage.fromarray(clean_pixels()).save("clean.png")
    PillowImage.fromarray(clean_pixels()[1:]).save("other.png")
    assert (
        run(monkeypatch, "explain", "t.npz", "-o", "r.html", "--policy", "p.safetensors", "--reference", "clean.png")
        == 0
    )
    assert Page(Path("r.html").read_text()).data["agreement"] == 1
    assert capsys.readouterr().err == ""
    save_policy(Path("renamed.safetensors"), agent.policy, replace(agent.card, name="renamed"))
    assert run(monkeypatch, "explain", "t.npz", "-o", "q.html", "--policy", "renamed.safetensors") == 0
    assert "the trace says that small chose, and not renamed" in capsys.readouterr().err
    assert run(monkeypatch, "explain", "t.npz", "-o", "p.html") == 0
    assert "p.html: the policy's probabilities are not shown: no policy named 'small' is" in capsys.readouterr().err
    assert run(monkeypatch, "explain", "t.npz", "-o", "s.html", "--region", "0,0,8,8") == 0
    for name in ("strip.png", "film.gif", "film.webp", "new/folder/r.html"):
        assert run(monkeypatch, "explain", "t.npz", "-o", name) == 0
    assert run(monkeypatch, "show", "t.npz", "-o", "other/again.gif") == 0
    assert Path("other/again.gif").read_bytes() == Path("film.gif").read_bytes()
    capsys.readouterr()
    for arguments, code, words in [
        (("t.npz", "-o", "r.html"), 2, "r.html exists; give --overwrite"),
        (("t.npz", "-o", "r.pdf"), 2, "the ending '.pdf' is not known; .html, .png, .gif, .webp can be written"),
        (("t.npz", "-o", "t.npz/r.html"), 2, "the folder t.npz cannot be made"),
        (("none.npz", "-o", "n.html"), 2, "does not exist"),
        (("t.npz", "-o", "n.html", "--region", "1,2,3"), 2, "'1,2,3' is not a region"),
        (("t.npz", "-o", "n.html", "--region", "0,0,99,99"), 2, "does not lie inside"),
        (("t.npz", "-o", "n.html", "--region", "9,9,3,3"), 2, "9,9,3,3 holds no pixel: x1 = 3 must be larger"),
        (("t.npz", "-o", "n.gif", "--region", "0,0,9,9"), 2, "--region is for the page"),
        (("t.npz", "-o", "n.html", "--policy", "nobody"), 2, "'nobody' is neither a file nor a shipped policy"),
        (("t.npz", "-o", "n.html", "--reference", "other.png"), 2, "other.png is of shape (35, 44)"),
        (("t.npz", "-o", "n.html", "--policy", "denoise-gray"), 2, "has other operations than the trace"),
    ]:
        assert run(monkeypatch, "explain", *arguments) == code
        said = capsys.readouterr().err
        assert words in said
        assert "Traceback" not in said
    assert not list(Path().glob("n.*"))


def test_the_page_in_a_browser(randomise, tmp_path: Path) -> None:
    agent = make_agent(randomise, 3)
    trace = agent(noisy_pixels(3), sigma=25).trace()
    (tmp_path / "report.html").write_text(report_html(trace, clean_pixels(3), agent), encoding="utf-8")
    with browser_page() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        page.locator("#map").scroll_into_view_if_needed()
        box = page.locator("#map").bounding_box()
        x, y = 10, 20
        page.mouse.move(box["x"] + (x + 0.5) / WIDTH * box["width"], box["y"] + (y + 0.5) / HEIGHT * box["height"])
        assert (page.input_value("#at-x"), page.input_value("#at-y")) == (str(x), str(y))
        for channel in range(3):
            page.check(f'input[name="channel"][value="{channel}"]', force=True)
            for t, image in enumerate(trace.trajectory().images()):
                row = page.inner_text(f'#story tr[data-step="{t}"]')
                assert f"{255 * image[0, channel, y, x].item():.1f}" in row
                if t:
                    assert PAPER_NINE[trace.actions[t - 1, channel, y, x]] in row
            assert page.locator("#odds td.chosen").count() == STEPS
        page.locator("#map").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press(".")
        assert (page.input_value("#at-x"), page.input_value("#at-y")) == (str(x + 1), str(y - 10))
        assert page.is_checked('input[name="step"][value="2"]')
        for layer in ("unsure", "change", "reward", "actions"):
            page.check(f'input[name="layer"][value="{layer}"]', force=True)
        options = page.locator('input[name="without"]')
        last = options.nth(options.count() - 1)
        name = PAPER_NINE[int(last.get_attribute("value"))]
        last.check()
        page.locator("#other-caption", has_text=name).wait_for()
        pixels = page.evaluate("[...document.getElementById('other').shown.data]")
        edited = trace.trajectory().edited([Edit(actions=(name,), force="do nothing")])
        expected = replace(trace, actions=edited.actions[:, 0].numpy()).replay()
        shown = np.array(pixels, np.uint8).reshape(HEIGHT, WIDTH, 4)[..., :3]
        assert np.abs(shown.astype(int) - expected).max() <= 1  # the page keeps tenths, which may round the other way
        assert asked == [(tmp_path / "report.html").as_uri()]


def test_a_report_says_how_far_it_is_and_can_be_ended(agent: Agent) -> None:
    trace = agent(noisy_pixels(), sigma=25).trace()
    shares: list[float] = []
    whole = report_html(trace, None, agent, progress=shares.append)
    assert whole == report_html(trace, None, agent)
    assert shares == sorted(shares)
    assert len(shares) > STEPS + 2
    assert shares[-1] == 1

    def end(share: float) -> None:
        if share > 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        report_html(trace, None, agent, progress=end)


@pytest.mark.pages
def test_on_a_phone_the_story_stands_by_the_tap(agent: Agent, tmp_path: Path) -> None:
    trace = agent(noisy_pixels(), sigma=25).trace()
    (tmp_path / "report.html").write_text(report_html(trace, clean_pixels(), agent), encoding="utf-8")
    for width, height in ((390, 844), (820, 1180), (360, 640)):
        with browser_page(width, height, has_touch=True) as page:
            page.goto((tmp_path / "report.html").as_uri())
            page.wait_for_selector("html[data-ready]")
            for name in ("picture", "map", "picture"):
                page.locator(f"#{name}").scroll_into_view_if_needed()
                box = page.locator(f"#{name}").bounding_box()
                page.touchscreen.tap(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
                page.wait_for_timeout(600)  # scrolling may be smooth
                assert page.input_value("#at-x") == str(int(0.3 * WIDTH))
                after, story = page.locator(f"#{name}").bounding_box(), page.locator("#story").bounding_box()
                assert 0 <= story["y"] - after["y"] - after["height"] < 260, (width, name)
                assert story["y"] + min(story["height"], 200) <= height + 1
                assert after["y"] + 0.6 * after["height"] > 0  # what was tapped is still to be seen


@pytest.mark.pages
def test_most_of_the_gain_is_more_than_half(agent: Agent, tmp_path: Path) -> None:
    text = report_html(agent(noisy_pixels(), sigma=25).trace(), clean_pixels(), agent)
    content = Page(text).scripts["data"]
    data = json.loads(content)
    before, first, second = data["psnr"][0], [0.0] * len(PAPER_NINE), [0.0] * len(PAPER_NINE)
    first[8], second[5], second[2] = 0.24, 0.6, 0.2  # box, median, grey level +1
    for rest, words in (
        (-0.3, "a gain of 0.74 dB. Most of it came with median (+0.60 dB)."),
        (0.5, "the largest parts came with median (+0.60 dB) and Gaussian 0.5 (+0.50 dB)."),
        (-3, "a loss of 1.96 dB. "),
    ):
        third = [0.0] * len(PAPER_NINE)
        third[3] = rest
        data["worth"], data["psnr"] = [first, second, third], [before, before + 1, before + 2, before + 3]
        (tmp_path / "report.html").write_text(text.replace(content, json.dumps(data)), encoding="utf-8")
        with browser_page() as page:
            page.goto((tmp_path / "report.html").as_uri())
            page.wait_for_selector("html[data-ready]")
            assert page.inner_text("#worth-text").endswith(words.strip())


def test_the_package_brings_the_parts_of_the_page() -> None:
    folder = Path(pixelrl.__file__).parent / "report" / "static"
    assert {path.name for path in folder.iterdir()} >= {
        "report.html",
        "report.css",
        "base.js",
        "look.js",
        "sections.js",
    }
