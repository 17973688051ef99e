"""Codes that are made, damaged and read (the extra ``codes``)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelrl.errors import UsageError
from pixelrl.imaging.codes import grey, jittered, reads, text_in

pytest.importorskip("zxingcpp", reason="zxing-cpp, of the extra `codes`, is not installed")
pytest.importorskip("segno", reason="segno, of the extra `codes`, is not installed")


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "examples"))
    return importlib.import_module("damaged_codes")


@pytest.mark.parametrize("kind", ["qr", "bar"])
def test_clean_codes_are_read_as_they_were_made(maker, kind: str) -> None:
    random = np.random.default_rng(0)
    codes = [maker.random_code(random, "noise", kind) for _ in range(4)]
    for code in codes:
        assert text_in((code.clean * 255).astype(np.uint8)) == code.text
    clean = torch.from_numpy(np.stack([code.clean for code in codes]))[:, None]
    assert reads(clean).tolist() == [1.0] * 4
    turned = torch.rot90(clean.flip(-1), 1, (-2, -1)).expand(-1, 3, -1, -1)  # training does so, and colour is welcome
    assert reads(turned).mean() > 0.8


def test_another_reader_reads_our_bar_codes(maker) -> None:
    try:
        from pyzbar import pyzbar
    except ImportError:
        pytest.skip("pyzbar, or its library zbar, is not installed")
    code = maker.random_code(np.random.default_rng(1), "blur", "bar")
    large = np.kron((code.clean * 255).astype(np.uint8), np.ones((3, 3), np.uint8))
    assert [found.data.decode() for found in pyzbar.decode(large)] == [code.text]


def test_damage_can_be_repeated_and_prevents_reading(maker) -> None:
    for damage in maker.DAMAGES:
        codes = [maker.random_code(np.random.default_rng(seed), damage) for seed in range(6)]
        again = maker.random_code(np.random.default_rng(5), damage)
        assert np.array_equal(codes[5].damaged, again.damaged)
        assert codes[5].text == again.text
        damaged = torch.from_numpy(np.stack([code.damaged for code in codes]))[:, None]
        assert damaged.min() >= 0
        assert damaged.max() <= 1
        assert reads(damaged).mean() < 0.7
    with pytest.raises(ValueError, match="damage 'fire' is unknown; known are stains"):
        maker.random_code(np.random.default_rng(0), "fire")


def test_the_folder_it_writes(maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["damaged_codes.py", str(tmp_path), "--number", "3"])
    maker.main()
    assert sorted(path.name for path in (tmp_path / "damaged").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    assert (tmp_path / "codes.json").exists()


def test_jitters_see_the_picture_differently() -> None:
    picture = torch.rand((1, 40, 50), generator=torch.Generator().manual_seed(0))
    seen = jittered(grey(picture))
    assert len(seen) == 4
    assert len({one.shape for one in seen}) == 4


def test_without_the_reader_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(UsageError, match=r'pip install "pixelrl\[codes\]"'):
        reads(torch.zeros((1, 1, 8, 8)))


def test_the_shipped_policy_makes_more_codes_readable(maker) -> None:
    """Codes that it was not trained with; an untrained policy leaves them as they are."""
    import pixelrl

    random = np.random.default_rng(4)
    codes = [maker.random_code(random, maker.DAMAGES[i % len(maker.DAMAGES)]) for i in range(40)]
    damaged = torch.from_numpy(np.stack([code.damaged for code in codes]))[:, None]
    mended = pixelrl.load("readable-code", "cpu")(damaged).image
    assert reads(mended).mean() > reads(damaged).mean() + 0.1
