"""Text removal: what text looks like, what it does to images, and compression."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import ImageFont
from torch import Tensor

from pixelrl.errors import UsageError
from pixelrl.tasks import TextRemoval
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
        ({"num_steps": 0}, "num_steps = 0 is not an episode's length"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TextRemoval(**arguments)  # type: ignore[arg-type]
