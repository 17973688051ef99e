"""What the studio's page shows, each test with a picture of its own: they run alone and in any order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from browser import PATIENCE, when
from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.studio.session import Session
from tabs import call, served
from test_studio_browser import until

pytestmark = pytest.mark.pages

Start = Callable[..., Any]
_NUMBERS = itertools.count(1)
TWO_FRAMES = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
"""Until what has changed is laid out and drawn."""


@pytest.fixture(scope="module")
def base(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sessions")) as (base, token):
        yield f"{base}/?token={token}"


@pytest.fixture
def start(browser: Any, base: str) -> Iterator[Start]:
    """``start(width, height)`` gives the studio's page; what goes wrong in its scripts fails the test."""
    pages, faults = [], []

    def begin(width: int = 1280, height: int = 720, **options: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        pages.append(page)
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(base)
        return page

    yield begin
    for page in pages:
        page.close()
    assert not faults, faults


def picture(path: Path, width: int = 60, height: int = 40, **options: Any) -> Path:
    """A picture in which all pixels differ, at this path."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([4 * x % 256, 5 * y % 256, 128 + (x - y) % 90], -1).astype(np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def opened(page: Any, path: Path) -> None:
    named = path.with_name(f"{next(_NUMBERS)}-{path.name}")  # of another name than any that was open before
    named.write_bytes(path.read_bytes())
    page.set_input_files("#file", named)
    until(page, "name => document.title.startsWith(name)", named.name)


def ran(page: Any, path: Path, policy: str = "denoise-color") -> None:
    """The picture open, and the policy run on it."""
    opened(page, path)
    page.select_option("#policy", policy)
    page.click("#run")
    page.wait_for_selector("#timeline:visible")
    page.wait_for_selector("#truth.exact")


def state(base: str) -> Any:
    """What the server says of the session at hand."""
    return call(base.partition("/?")[0], "GET", "/api/state").json()["session"]


def on_screen(page: Any, width: int, height: int) -> Callable[[float, float], tuple[float, float]]:
    """From places in the picture, which is shown with this size and fitted, to places on the screen."""
    page.evaluate(TWO_FRAMES)
    box = page.locator("#canvas").bounding_box()
    zoom = int(page.inner_text("#zoom").split()[0]) / 100
    left, top = box["x"] + (box["width"] - width * zoom) / 2, box["y"] + (box["height"] - 36 - height * zoom) / 2
    return lambda x, y: (left + x * zoom, top + y * zoom)


def test_no_picture_is_drawn_too_wide(start: Start, tmp_path: Path) -> None:
    page = start()
    for name, size in (("first.png", (60, 40)), ("second.png", (40, 60)), ("third.png", (50, 50))):
        opened(page, picture(tmp_path / name, *size))
        until(page, "document.querySelector('#canvas').width > 0")
        stretch = "(() => { const c = document.querySelector('#canvas');"
        stretch += " return [c.width / c.clientWidth, c.height / c.clientHeight]; })()"
        until(page, f"{stretch}.join() === '1,1'")


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_a_photo_is_shown_as_it_was_held(start: Start, base: str, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = picture(tmp_path / "held.png", exif=exif)
    stored = np.asarray(Image.open(path))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    page = start()
    ran(page, path)
    place = on_screen(page, upright.shape[1], upright.shape[0])
    x, y = 7, 11
    page.keyboard.press("Home")
    page.mouse.click(*place(x + 0.5, y + 0.5))
    page.wait_for_selector("#story tbody tr")
    values = page.locator("#story tbody tr").first.locator("b").all_inner_texts()
    assert values == [str(value) for value in upright[y, x]]
    at = int(page.input_value("#pixel-x")), int(page.input_value("#pixel-y"))
    assert np.array_equal(stored[at[1], at[0]], upright[y, x])  # counted in the file's pixels, as edits are
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")  # to the right on the screen
    cells = "[...document.querySelectorAll('#story tbody tr:first-child b')].map((b) => b.textContent).join()"
    until(page, f"expected => {cells} === expected", ",".join(str(value) for value in upright[y, x + 1]))

    page.keyboard.press("Escape")  # the mark of the pixel
    page.mouse.move(1, 1)
    until(page, "!document.querySelector('#story tbody')")
    colour = """([x, y]) => {
        const canvas = document.querySelector("#canvas"), box = canvas.getBoundingClientRect();
        return [...canvas.getContext("2d").getImageData(x - box.left, y - box.top, 1, 1).data.slice(0, 3)];
    }"""
    assert page.evaluate(colour, place(x + 0.5, y + 0.5)) == upright[y, x].tolist()

    page.keyboard.press("r")
    page.mouse.move(*place(4.5, 6.5))
    page.mouse.down()
    page.mouse.move(*place(9.5, 12.5))
    page.mouse.up()
    page.wait_for_selector("#edits li")
    x0, y0, x1, y1 = state(base)["edits"][0]["edit"]["region"]["box"]
    there = sorted(map(tuple, stored[y0:y1, x0:x1].reshape(-1, 3)))
    assert there == sorted(map(tuple, upright[6:13, 4:10].reshape(-1, 3)))

    small = """(() => {
        const {naturalWidth: width, naturalHeight: height} = document.querySelector("#timeline img");
        return width && [width > height];
    })()"""
    until(page, small)
    assert page.evaluate(small) == [upright.shape[1] > upright.shape[0]]


def drag(page: Any, *places: tuple[float, float]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def drawn(page: Any, base: str, *places: tuple[float, float]) -> Any:
    """Drag over the picture (or click it, for one place), and the edit that comes of it."""
    before = len(state(base)["edits"])
    if len(places) == 1:
        page.mouse.click(*places[0])
    else:
        drag(page, *places)
    until(page, f"document.querySelectorAll('#edits li').length === {before + 1}")
    return state(base)["edits"][-1]["edit"]


def test_first_choices_spoil_no_picture(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    place = on_screen(page, 60, 40)
    page.keyboard.press("r")
    page.keyboard.press("f")
    forced = drawn(page, base, place(5, 5), place(20, 20))
    shares = np.array(state(base)["shares"]).sum(0)
    names = [action["name"] for action in state(base)["actions"]]
    most = max((n for n in names if n != "do nothing"), key=lambda n: shares[names.index(n)])
    assert forced["do"] == {"force": most}
    assert forced["steps"] == [5]  # the step that is looked at
    page.click("#edits li [aria-label^=Delete]")
    page.keyboard.press("3")
    assert page.locator("#steps [aria-pressed=true]").all_inner_texts() == ["3"]
    page.click("#steps >> text=2")
    page.select_option("#operation", "median")
    assert drawn(page, base, place(5, 5), place(20, 20))["steps"] == [2, 3]
    assert "Force median" in page.locator("#edits li b").first.inner_text()

    page.keyboard.press("s")  # to stop at once would be to protect
    assert page.inner_text("#steps-name") == "From step"
    assert page.locator("#steps button:visible").all_inner_texts() == ["2", "3", "4", "5"]
    page.click("#steps >> text=4")
    stopped = drawn(page, base, place(25, 5), place(40, 20))
    assert (stopped["do"], stopped["steps"]) == ("stop", [4, 5])
    assert "from step 4" in page.locator("#edits li small").last.inner_text()

    page.keyboard.press("k")
    page.click("#steps >> text=All")
    assert drawn(page, base, place(25, 5), place(40, 20))["steps"] == "all"


def test_what_does_the_same_is_forbidden_what_it_does(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    address = base.partition("/?")[0]
    page.fill("#level", "25")
    page.press("#level", "Enter")
    page.click("#run")
    until(page, "document.querySelector('#plainer-said').textContent.includes('bits')")
    page.fill("#plainer", "0")  # where single pixels differ
    page.dispatch_event("#plainer", "change")

    def done() -> bool:
        now = state(base)
        return now["legibility"] == 0 and now["level"] == 25 and now["exact"] and not now["waiting"]

    when(page, done)
    names = [action["name"] for action in state(base)["actions"]]
    maps = {
        step: np.frombuffer(call(address, "GET", f"/api/map/{step}").content, np.uint8).reshape(40, 60, 3)
        for step in range(1, 6)
    }
    idle = names.index("do nothing")
    # A step at which some pixels do something and others do not.
    number, first = next((step, each) for step, each in maps.items() if 0 < (each[..., 0] == idle).mean() < 1)
    y, x = (int(at) for at in np.argwhere(first[..., 0] != names.index("do nothing"))[0])
    idle_y, idle_x = (int(at) for at in np.argwhere(first[..., 0] == names.index("do nothing"))[0])
    place = on_screen(page, 60, 40)(x + 0.5, y + 0.5)
    page.keyboard.press(str(number))
    page.keyboard.press("a")
    page.keyboard.press("k")
    assert page.is_hidden("#operation-field")  # the pixel says which
    does = names[first[y, x, 0]]
    edit = drawn(page, base, place)
    assert edit["do"] == {"forbid": [does]}
    after = call(address, "GET", f"/api/pixel?x={x}&y={y}").json()
    assert after["actions"][number - 1][0] == names.index("do nothing")  # it acts

    page.keyboard.press("f")
    page.select_option("#operation", does)
    page.keyboard.press("Control+z")
    until(page, "document.querySelectorAll('#edits li').length === 0")
    page.keyboard.press(str(number))
    page.mouse.click(*place)
    page.wait_for_selector(f"#message:has-text('Nothing would change: these pixels do {does} already')")
    page.keyboard.press("k")
    page.mouse.click(*on_screen(page, 60, 40)(idle_x + 0.5, idle_y + 0.5))
    page.wait_for_selector("#message:has-text('what is forbidden becomes')")
    assert not state(base)["edits"]


def test_tasks_and_operations_are_explained(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    opened(page, picture(tmp_path / "photo.png"))
    tasks = page.locator("#policy option").all_inner_texts()
    assert tasks[:2] == ["Remove noise as seen", "Clean a photograph"]
    assert tasks[2:4] == ["Remove noise", "Remove noise, each colour by itself"]
    assert "Remove text, each colour by itself" in tasks
    assert {"Remove text", "Remove specks", "Look: watercolour", "Draw the eye"} < set(tasks)
    policies = call(base.partition("/?")[0], "GET", "/api/policies").json()
    assert all(policy["about"].endswith(".") for policy in policies)
    for policy in ("denoise-color", "restore-color"):
        page.select_option("#policy", policy)
        about = next(p["about"] for p in policies if p["name"] == policy)
        assert page.inner_text("#task-said") == about
        assert page.get_attribute("#policy", "title") == about
    page.select_option("#policy", "denoise-color")
    page.click("#run")
    page.wait_for_selector("#truth.exact")
    assert page.is_hidden("#task-said")
    median = "The middle value of the 5x5 pixels around it: specks vanish, edges stay."
    assert page.locator("#legend li:has-text('median')").get_attribute("title") == median
    page.keyboard.press("f")
    page.select_option("#operation", "median")
    assert page.inner_text("#operation-said") == median
    grey = tmp_path / "grey.png"
    Image.open(tmp_path / "photo.png").convert("L").save(grey)
    opened(page, grey)
    tasks = page.locator("#policy option:not([disabled])").all_inner_texts()
    assert tasks == [
        "Remove noise as seen",
        "Clean a photograph",
        "Remove noise",
        "Remove noise of low light",
        "Remove noise of sensors",
        "Remove specks",
        "Remove text",
        "Remove text (colour policy)",
        "Remove text (grey policy)",
        "Make a code readable",
    ]


def test_a_level_belongs_to_its_task(start: Start, tmp_path: Path) -> None:
    """A noise level of 20 is no strength: the form refused to be sent, for a reason that nobody saw."""
    page = start()
    opened(page, picture(tmp_path / "photo.png"))
    page.select_option("#policy", "denoise-color")
    page.fill("#level", "20")
    page.select_option("#policy", "saliency-edit")
    assert page.input_value("#level") == ""
    page.fill("#level", "3")
    page.select_option("#policy", "enhance-watercolor")
    page.click("#run")
    page.wait_for_selector("#timeline:visible")


SIZES = [(1280, 720), (820, 1180), (390, 844), (640, 360), (360, 640)]


@pytest.mark.parametrize("policy", ["poisson-gray", "saliency-edit", "enhance-local-xpro", "denoise-color"])
def test_everything_can_be_reached(start: Start, base: str, tmp_path: Path, policy: str) -> None:
    page = start()
    path = picture(tmp_path / "photo.png")
    ran(page, path, policy)
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#story tbody")
    hanging = """() => [...document.querySelectorAll("header *, #tools *, #panel *, #view-tools *, main > *")]
        .filter((e) => e.checkVisibility() && !e.closest("svg, ol"))
        .filter((e) => !getComputedStyle(e).clipPath.startsWith("inset"))
        .filter((e) => {
            const box = e.getBoundingClientRect(), scroller = e.closest("#story");
            if (scroller && scroller.scrollWidth > scroller.clientWidth) return innerWidth > 1000;
            return box.width && (box.left < -0.5 || box.right > innerWidth + 0.5);
        }).map((e) => e.outerHTML.slice(0, 90))"""
    cut = """() => [...document.querySelectorAll("#legend label, #legend .name")]
        .filter((e) => e.scrollWidth > e.clientWidth + 1 && innerWidth > 1000).map((e) => e.textContent)"""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(TWO_FRAMES)
        for tab in ("change", "look"):
            page.click(f"#tab-{tab}")
            assert page.evaluate(hanging) == [], (width, height, tab)
            assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(cut) == [], (width, height)
        canvas = page.locator("#canvas").bounding_box()
        assert canvas["width"] >= 300, (width, height)
        assert canvas["height"] >= 180, (width, height)
        assert page.locator("header").bounding_box()["height"] <= (52 if width >= 1280 else 92), (width, height)
        page.click("#run")
        when(page, lambda size=(width, height): state(base)["runs"] >= 2 + SIZES.index(size))  # type: ignore[misc]


def test_high_contrast_shows_what_is_chosen(start: Start, tmp_path: Path) -> None:
    page = start(forced_colors="active")
    ran(page, picture(tmp_path / "photo.png"))
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#story tbody")
    colour = "selector => getComputedStyle(document.querySelector(selector)).backgroundColor"

    def differ(chosen: str, other: str) -> None:
        assert page.evaluate(colour, chosen) != page.evaluate(colour, other), chosen

    differ("#tools [aria-checked=true]", "#tools [aria-checked=false]")
    differ("[aria-label=Comparison] [aria-checked=true]", "[aria-label=Comparison] [aria-checked=false]")
    differ("[data-mode][aria-checked=true]", "[data-mode][aria-checked=false]")
    differ("[role=tab][aria-selected=true]", "[role=tab][aria-selected=false]")
    differ("#timeline [aria-current=step]", "#timeline [aria-current=false]")
    differ("#story .now td", "#story tr:not(.now) td")
    differ("#legend li:nth-child(1) .chip", "#legend li:nth-child(9) .chip")  # colours that stand for operations
    page.keyboard.press("f")
    differ(".deeds [aria-checked=true]", ".deeds [aria-checked=false]")
    differ("#steps [aria-pressed=true]", "#steps [aria-pressed=false]")


def test_focus_stays_while_the_studio_works(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    place = on_screen(page, 60, 40)
    page.keyboard.press("r")
    drawn(page, base, place(5, 5), place(20, 20))
    focused = "selector => document.activeElement === document.querySelector(selector)"
    for tab, selector in (
        ("look", "#legend li:nth-child(4) input"),
        ("change", "#edits li:nth-child(1) [aria-label^=Delete]"),
        ("change", "#edits li:nth-child(1) [aria-label^=Later]"),
    ):
        page.keyboard.press("r")
        page.keyboard.press("p")
        drawn(page, base, place(25, 5), place(40, 20))
        page.evaluate("tab => document.querySelector(`#tab-${tab}`).click()", tab)
        page.focus(selector)
        page.wait_for_selector("#truth.exact")  # the page asks again and again meanwhile
        assert page.evaluate(focused, selector), selector
    page.click("#tab-look")
    page.focus("#legend li:nth-child(4) input")
    page.evaluate("document.querySelector('#run').click()")
    when(page, lambda: state(base)["runs"] >= 2)
    page.wait_for_selector("#truth.exact")
    assert page.evaluate(focused, "#legend li:nth-child(4) input")


AMBER = """([x, y]) => {
    const canvas = document.querySelector("#canvas"), box = canvas.getBoundingClientRect();
    const [r, g, b] = canvas.getContext("2d").getImageData(x - box.left, y - box.top, 1, 1).data;
    return [r, g, b];
}"""


def test_undo_in_a_polygon_takes_its_last_corner(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    place = on_screen(page, 60, 40)
    page.keyboard.press("r")
    drawn(page, base, place(30, 5), place(50, 20))
    page.keyboard.press("g")
    for corner in ((4, 4), (20, 4), (20, 20), (40, 38)):
        page.mouse.click(*place(*corner))
    page.keyboard.press("Control+z")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#edits li').length === 2")
    polygon = np.array(state(base)["edits"][1]["edit"]["region"]["polygon"])
    assert np.abs(polygon - [[4, 4], [20, 4], [20, 20]]).max() < 0.5
    page.mouse.click(*place(4, 30))
    page.click("#undo")  # the corner again
    page.keyboard.press("Control+z")
    until(page, "document.querySelectorAll('#edits li').length === 1")


def test_an_area_is_shown_again_and_erased_from(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    path = picture(tmp_path / "photo.png")
    ran(page, path)
    pixels = np.asarray(Image.open(path))
    place = on_screen(page, 60, 40)
    page.keyboard.press("b")
    page.keyboard.press("p")
    page.fill("#size", "7")
    drawn(page, base, place(10.5, 20.5), place(40.5, 20.5))
    until(page, "!document.querySelector('#truth').textContent.includes('preview')")
    page.mouse.move(1, 1)
    plain = pixels[20, 20].tolist()
    when(page, lambda: page.evaluate(AMBER, place(20.5, 20.5)) == plain)  # protected, and nothing lies over it
    page.click("#edits li .said")
    page.mouse.move(1, 1)
    until(page, f"at => ({AMBER})(at).join() !== '{','.join(map(str, plain))}'", place(20.5, 20.5))
    shown = np.array(page.evaluate(AMBER, place(20.5, 20.5)))
    assert np.abs(shown - (0.55 * np.array(plain) + 0.45 * np.array([255, 209, 102]))).max() < 4
    outside = page.evaluate(AMBER, place(20.5, 35.5))
    page.click("#edits li .said")
    page.mouse.move(1, 1)
    until(page, f"at => ({AMBER})(at).join() === '{','.join(map(str, plain))}'", place(20.5, 20.5))
    assert page.evaluate(AMBER, place(20.5, 35.5)) == outside  # only the area was

    page.keyboard.press("e")
    count = state(base)["edits"][0]["pixels"]
    drag(page, place(30.5, 10.5), place(30.5, 30.5))
    until(page, f"document.querySelector('#edits small').textContent.includes('{count - 7 * 7} px')")
    page.wait_for_selector("#truth.exact")
    assert len(state(base)["edits"]) == 1
    answer = call(base.partition("/?")[0], "GET", f"/api/area/{state(base)['edits'][0]['number']}")
    x0, y0, x1, y1 = map(int, answer.headers["x-box"].split(","))
    inside = np.frombuffer(answer.content, np.uint8).reshape(y1 - y0, x1 - x0)
    assert inside[20 - y0, 15 - x0 : 26 - x0].all()
    assert not inside[20 - y0, 28 - x0 : 33 - x0].any()
    page.keyboard.press("Control+z")
    until(page, f"document.querySelector('#edits small').textContent.includes('{count} px')")
    page.fill("#size", "60")
    drag(page, place(10.5, 20.5), place(50.5, 20.5))  # nothing is left
    page.wait_for_selector("#no-edits:visible")


def test_cancelling_is_said_at_once(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = start()
    opened(page, picture(tmp_path / "photo.png"))
    held, done = threading.Event(), Agent.__call__

    def slow(self: Any, *args: Any, **options: Any) -> Any:
        held.wait(PATIENCE)
        return done(self, *args, **options)

    monkeypatch.setattr(Agent, "__call__", slow)
    page.click("#run")
    page.wait_for_selector("#cancel:visible")
    page.click("#cancel")
    assert page.inner_text("#working-said").startswith("Cancelling")
    assert page.is_disabled("#cancel")
    page.wait_for_timeout(500)
    assert page.inner_text("#working-said").startswith("Cancelling")  # and no poll takes it back
    held.set()
    page.wait_for_selector("#working", state="hidden")
    assert page.is_enabled("#run")


def test_a_reaction_that_failed_is_said_and_tried_again(
    start: Start, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"))
    place = on_screen(page, 60, 40)
    with monkeypatch.context() as failing:
        failing.setattr(Session, "live", lambda *_: raised(UsageError("it cannot be")))
        page.keyboard.press("r")
        drag(page, place(10.5, 10.5), place(29.5, 29.5))
        until(page, "document.querySelectorAll('#edits li').length === 1")
        page.click("[data-mode=live]")
        page.wait_for_selector('#truth:has-text("The policy\'s reaction was given up")')
        assert page.locator("#truth.exact").count() == 0
    page.click("#save")
    page.click("#save-menu [data-what=picture]")
    page.wait_for_selector("#message:has-text('still reacting')")
    page.wait_for_selector("#truth.exact:has-text('reaction')")


def raised(error: Exception) -> None:
    raise error


def test_the_object_can_be_erased_from(start: Start, base: str, tmp_path: Path) -> None:
    page = start()
    ran(page, picture(tmp_path / "photo.png"), "saliency-edit")
    place = on_screen(page, 60, 40)
    page.click("#object-choose")
    page.keyboard.press("r")
    drag(page, place(10.5, 10.5), place(29.5, 29.5))
    page.wait_for_selector("#object-said:has-text('chosen, 400 px')")
    page.keyboard.press("e")
    page.fill("#size", "9")
    drag(page, place(20.5, 2.5), place(20.5, 38.5))
    page.wait_for_selector("#object-said:has-text('chosen, 220 px')")
    page.wait_for_selector("#truth.exact")
    assert not state(base)["edits"]
