"""Text removal: what text looks like, what it does to images, and compression."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import ImageFont
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.tasks import TextRemoval
from pixelrl.tasks.real_text import Layer, covered, soft_text, under
from pixelrl.tasks.restoration import jpeg
from pixelrl.tasks.text_masks import find_fonts, text_mask


def masks(number: int, side: int = 128, size: int | None = None) -> Tensor:
    return torch.stack([text_mask(side, side, seed, [], size) for seed in range(number)]).float()


def test_a_tenth_to_a_fifth_is_covered() -> None:
    cover = masks(60).mean((1, 2))
    assert 0.06 < cover.mean() < 0.2
    assert cover.max() < 0.5
    assert masks(30, size=28).mean() > 0.04


def test_text_is_everywhere_and_not_in_one_corner() -> None:
    share = masks(200, side=64).mean(0)
    quarters = [share[y : y + 32, x : x + 32].mean() for y in (0, 32) for x in (0, 32)]
    assert max(quarters) < 1.5 * min(quarters)


def test_the_seed_decides() -> None:
    one, same, other = (text_mask(40, 50, seed, []) for seed in (1, 1, 2))
    assert one.shape == (40, 50)
    assert one.dtype == torch.bool
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_covered_pixels_are_black_or_white_and_all_others_untouched(generator: torch.Generator) -> None:
    clean = torch.full((8, 3, 96, 96), 0.4)
    start = TextRemoval().begin(clean, generator)
    colours = set()
    for image in start.image:
        values = image[image != 0.4].unique().tolist()
        assert len(values) == 1
        colours |= set(values)
        assert torch.equal(image[0] != 0.4, image[1] != 0.4)  # all channels together
    assert colours == {0.0, 1.0}
    assert torch.equal(start.target, clean)


def soft(number: int, height: int = 96, width: int = 128) -> list[list[Layer]]:
    return [soft_text(height, width, seed, []) for seed in range(number)]


def test_real_text_has_soft_edges_colours_outlines_and_translucency() -> None:
    texts = soft(80)
    cover = torch.stack([covered(layers) for layers in texts])
    assert cover.shape == (80, 96, 128)
    assert 0.04 < (cover > 0).float().mean() < 0.4
    assert (cover.amax((1, 2)) > 0).float().mean() > 0.9  # hardly any picture goes without
    edges = ((cover > 0.1) & (cover < 0.9)).float().mean() / (cover > 0.1).float().mean()
    assert edges > 0.15
    strongest = cover.amax((1, 2))
    assert 0.2 < ((strongest > 0) & (strongest < 0.95)).float().mean() < 0.6  # translucent
    assert 0.15 < sum(len(layers) > 1 for layers in texts) / 80 < 0.6
    colours = {layers[-1].color for layers in texts}
    assert {(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)} < colours
    assert len(colours) > 10
    assert torch.equal(covered(soft(1)[0]), cover[0])  # the seed decides


def test_large_text_is_a_watermark_or_of_a_strong_colour() -> None:
    texts = [soft_text(96, 128, seed, [], large_share=1.0) for seed in range(60)]
    cover = torch.stack([covered(layers) for layers in texts])
    assert (cover.mean((1, 2)) > 0.01).float().mean() > 0.95  # nearly always there, though words are few
    assert 0.35 < (cover.amax((1, 2)) < 0.95).float().mean() < 0.75  # translucent
    strong = sum(max(layers[-1].color) - min(layers[-1].color) > 0.2 for layers in texts)
    assert 20 < strong < 40
    some = [soft_text(96, 128, seed, [], large_share=0.5) for seed in range(60)]
    alike = sum(torch.equal(covered(one), covered(other)) for one, other in zip(some, texts, strict=True))
    assert 15 < alike < 45


def test_layers_lie_over_each_other() -> None:
    half, whole = Layer(torch.full((4, 4), 0.5), (1.0, 0.0, 0.0)), Layer(torch.eye(4), (0.0, 0.0, 1.0))
    image = under(torch.full((1, 3, 4, 4), 0.2), [half, whole])[0]
    assert image[:, 0, 0].tolist() == [0.0, 0.0, 1.0]
    assert image[:, 0, 1].tolist() == pytest.approx([153 / 255, 26 / 255, 26 / 255])  # rounded to 8 bit
    assert under(torch.full((1, 1, 4, 4), 0.2), [whole])[0, 0, 0, 0].item() == pytest.approx(1 / 3, abs=0.01)


def test_far_from_text_nothing_is_to_be_done(generator: torch.Generator) -> None:
    task = TextRemoval(jpeg_share=1.0, soft_share=0.6, clean_share=0.4, gray_share=0.3)
    clean = torch.rand((24, 3, 128, 128), generator=generator)
    start = task.begin(clean, generator)
    asked = (start.target != start.image).any(1)
    assert 7 <= int((~asked).all(-1).all(-1).sum()) <= 16  # without text: compressed, and to be left so
    assert asked.float().mean() > 0.2
    grey = (start.target == start.target.mean(1, keepdim=True)).all(1).all(-1).all(-1)
    assert grey.float().mean() < 0.6
    untouched = TextRemoval(clean_share=1.0).begin(clean, generator)
    assert torch.equal(untouched.image, untouched.target)
    barred = (untouched.image != clean).any(1)  # a frame of black or white is no text
    assert 0 < int(barred.any(-1).any(-1).sum()) < 12
    assert set(untouched.image.movedim(1, -1)[barred].unique().tolist()) <= {0.0, 1.0}


def test_part_of_the_training_images_are_compressed(generator: torch.Generator) -> None:
    clean = torch.rand((40, 1, 32, 32), generator=generator)
    for share, low, high in ((0.0, 0, 0), (0.5, 8, 32), (1.0, 40, 40)):
        image = TextRemoval(jpeg_share=share).begin(clean, generator).image
        untouched = (image == clean).flatten(1).float().mean(1)
        assert low <= int((untouched < 0.5).sum()) <= high
    start = TextRemoval(jpeg_share=1.0).degrade(clean, 12, generator)
    assert (start.image == clean).float().mean() > 0.5  # never in evaluation


def test_jpeg_keeps_colours_in_their_channels() -> None:
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 0.8
    back = jpeg(red, 95)
    assert (back - red).abs().max() < 0.02
    ramp = torch.linspace(0, 1, 64).repeat(1, 1, 64, 1)
    assert (jpeg(ramp, 95) - ramp).abs().mean() < (jpeg(ramp, 20) - ramp).abs().mean()


def test_fonts(tmp_path: Path) -> None:
    assert find_fonts("") == []
    with pytest.raises(UsageError, match=r"holds no \.ttf or \.otf file"):
        find_fonts(str(tmp_path))
    font = ImageFont.load_default(12)
    assert isinstance(font, ImageFont.FreeTypeFont)
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "own.ttf"
    path.write_bytes(font.font_bytes)
    assert find_fonts(str(tmp_path)) == [path]
    assert any(text_mask(40, 40, seed, [path]).any() for seed in range(9))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"jpeg_share": 1.5}, "jpeg_share = 1.5 is not a share"),
        ({"jpeg_quality": (90.0, 60.0)}, "is not a range"),
        ({"soft_share": -0.5}, "soft_share = -0.5 is not a share"),
        ({"large_share": 1.5}, "large_share = 1.5 is not a share"),
        ({"soft_share": 0.7, "clean_share": 0.7}, r"soft_share \+ clean_share = 1.4 is more than all"),
        ({"num_steps": 0}, "num_steps = 0 is not an episode's length"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TextRemoval(**arguments)  # type: ignore[arg-type]
