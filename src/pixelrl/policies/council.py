"""How the agents of a `Consulting` policy judge and consult on a CPU: piece by piece, and no further than to a choice.

What agents see of all outcomes is a hundred times as large as the picture, and moving it through memory would take
most of the time. Here it is held for a piece of one channel at a time that stays in the processor's cache, and pieces
are shared out among threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pixelrl.imaging.parts import Strip, widened
from pixelrl.policies.judge import FEATURES, REACH, Weights, cells, look_around, measures
from pixelrl.policies.tiling import tiles
from pixelrl.policies.votes import OF_CELLS, OF_PIXELS, PIXEL_ROUNDS, ROUNDS, doubled_plane, elected, votes_for
from pixelrl.threads import Team

Planes = NDArray[np.float32]
"""Numbers for every pixel, or for every cell of 2x2 pixels, of each channel of each image."""
Chosen = NDArray[np.uint8]
"""The indices of what agents choose."""

HIGH, WIDE = 64, 256
"""Rows and columns of a piece, in whatever is cut: cells of 2x2 pixels, or cells of those."""
SEEN = REACH // 2
"""Radius in cells within which an agent looks at the picture."""


class Piece(NamedTuple):
    """A part of one of several planes, with its surroundings."""

    plane: int
    rows: Strip
    columns: Strip

    def own(self, scale: int = 1) -> tuple[slice, slice]:
        """The part itself, in a plane of so many times the resolution of what was cut."""
        return self.rows.finer(scale).own, self.columns.finer(scale).own

    def seen(self, scale: int = 1) -> tuple[slice, slice]:
        """The part with its surroundings."""
        return self.rows.finer(scale).seen, self.columns.finer(scale).seen

    def inner(self, scale: int = 1) -> tuple[slice, slice]:
        """The part itself, in what is seen."""
        return self.rows.finer(scale).inner, self.columns.finer(scale).inner


def cut(planes: int, size: Sequence[int], around: int) -> list[Piece]:
    """The pieces of so many planes of a size, with so much around them that they see."""
    return [
        Piece(plane, rows, columns)
        for plane in range(planes)
        for rows in tiles(size[0], HIGH, around, 1)
        for columns in tiles(size[1], WIDE, around, 1)
    ]


def nearest(outcomes: Sequence[Planes], goal: Planes, team: Team) -> Chosen:
    """The action whose outcome is nearest to the estimate, the first of equals.

    Args:
        outcomes: of each of p planes, ``(n, h, w)``.
        goal: the estimate, ``(p, h, w)``.
        team: whoever works.
    """
    chosen = np.zeros(goal.shape, np.uint8)

    def choose(piece: Piece) -> None:
        own = piece.own()
        aim = goal[piece.plane][own]
        nearness = np.empty(aim.shape, np.float32)

        def judged() -> Iterator[tuple[Planes, None]]:
            for image in outcomes[piece.plane]:
                np.subtract(image[own], aim, out=nearness)
                np.abs(nearness, out=nearness)
                np.multiply(nearness, np.float32(-255), out=nearness)
                yield nearness, None

        chosen[piece.plane][own] = elected(judged())

    team.each(choose, cut(len(goal), goal.shape[1:], 0))
    return chosen


class Council:
    """The agents of one step.

    Args:
        outcomes: of each of p planes, ``(n, h, w)``.
        goal: the estimate, ``(p, h, w)``.
        unit: of distances, in the outcomes' values, ``(p, h, w)``.
        degree: the place on the scale of prices, ``(p, h, w)``.
        judge: as it is at this step.
        own: the factor by which the distance in a cell counts.
        around: that of the distance around it.
        team: whoever works.
    """

    def __init__(
        self,
        outcomes: Sequence[Planes],
        goal: Planes,
        unit: Planes,
        degree: Planes,
        judge: Weights,
        own: float,
        around: float,
        team: Team,
    ) -> None:
        self.outcomes, self.goal, self.share, self.judge, self.team = outcomes, goal, 1 / unit, judge, team
        self.own_factor, self.around_factor = np.float32(own), np.float32(around)
        self.place = look_around(*(torch.from_numpy(each)[:, None] for each in (goal, self.share, degree)))
        self.size = self.place.shape[-2:]
        """Of the planes, in cells."""
        self.scores = np.empty((len(goal), len(outcomes[0]), *self.size), np.float32)
        self.of_pixels = np.empty_like(self.scores)
        """The scores of a cell's pixels, but for the distance of each."""

    def chosen(self) -> Chosen:
        """What every agent chooses in the end, ``(p, h, w)``."""
        planes = len(self.goal)
        self.team.each(self._judge, cut(planes, self.size, SEEN))
        groups = self._agreed()
        choice = np.zeros(self.goal.shape, np.uint8)
        halo = -(-PIXEL_ROUNDS * _radius(OF_PIXELS) // 2)
        self.team.each(partial(self._settle, groups, choice), cut(planes, self.size, halo))
        return choice

    def _misses(self, piece: Piece, action: int) -> Planes:
        """How far an outcome is from the estimate, in units, for the pixels that a piece sees."""
        seen, plane = piece.seen(2), piece.plane
        miss: Planes = self.outcomes[plane][action][seen] - self.goal[plane][seen]
        miss *= self.share[plane][seen]
        return miss

    def _judge(self, piece: Piece) -> None:
        """Score every outcome in the cells of a piece (`Consulting.scores`)."""
        own, inner = piece.own(), piece.inner()
        height, width = (tile.stop - tile.start for tile in (piece.rows, piece.columns))
        place = self.place[(piece.plane, slice(None), *own)].numpy()
        seen = np.empty((FEATURES + len(place), height, width), np.float32)
        seen[FEATURES:] = place
        cells, scratch = torch.from_numpy(seen).flatten(1), np.empty((height, width), np.float32)
        hidden = torch.ones((2, len(self.judge.inner) + 1, height * width), dtype=torch.float32)
        for action in range(len(self.outcomes[0])):
            miss = self._misses(piece, action)
            signed = _halved(miss)
            near = _halved(np.abs(miss, out=miss))
            far, measured = measures(near, signed, _mean)
            for into, (distance, half) in zip(seen, measured, strict=False):
                np.divide(distance[inner], np.add(distance[inner], np.float32(half), out=scratch), out=into)
            score = self.judge.judge(cells, hidden[0], hidden[1, :-1]).view(height, width).numpy()
            near = near[inner] * self.own_factor
            score -= near
            score -= far[inner] * self.around_factor
            self.scores[(piece.plane, action, *own)] = score
            np.add(score, near, out=self.of_pixels[(piece.plane, action, *own)])

    def _agreed(self) -> Chosen:
        """What cells choose in the end, ``(p, h / 2, w / 2)``: groups of them first, in rounds."""
        choice: Chosen | None = None
        before = 1
        for size, rounds in ROUNDS:
            scores: Planes = self.scores if size == 1 else cells(torch.from_numpy(self.scores)).numpy()
            pieces = cut(len(scores), scores.shape[-2:], _radius(OF_CELLS))
            if choice is None:
                choice = np.zeros((len(scores), *scores.shape[-2:]), np.uint8)
                self.team.each(partial(_begin, scores, choice), pieces)
            else:
                choice = choice.repeat(before // size, -2).repeat(before // size, -1)
                choice = choice[..., : scores.shape[-2], : scores.shape[-1]]
            for _ in range(rounds):
                after = np.zeros(choice.shape, np.uint8)
                self.team.each(partial(_persuade, scores, choice, after), pieces)
                choice = after
            before = size
        assert choice is not None
        return choice

    def _settle(self, groups: Chosen, result: Chosen, piece: Piece) -> None:
        """Let every pixel choose for itself: first by what the cells around it do, then by what pixels do."""
        seen = piece.seen(2)
        height, width = self.goal[piece.plane][seen].shape
        alone = np.empty((self.scores.shape[1], height, width), np.float32)
        for action, score in enumerate(alone):
            miss = self._misses(piece, action)
            np.multiply(np.abs(miss, out=miss), self.own_factor, out=miss)
            np.subtract(doubled_plane(self.of_pixels[(piece.plane, action, *piece.seen())], score), miss, out=score)
        # Neighbours of cells that are seen lie farther out.
        down, right = (
            widened(tile.halo_start, tile.halo_stop, _radius(OF_CELLS), length, 1)
            for tile, length in zip((piece.rows, piece.columns), self.size, strict=True)
        )
        inside, neighbours = (down.inner, right.inner), groups[piece.plane][down.seen, right.seen]
        votes = (votes_for(neighbours, action, *OF_CELLS) for action in range(len(alone)))
        choice = elected(
            (score, None if of_cells is None else doubled_plane(of_cells[inside], score))
            for score, of_cells in zip(alone, votes, strict=True)
        )
        for _ in range(PIXEL_ROUNDS):
            choice = elected((score, votes_for(choice, action, *OF_PIXELS)) for action, score in enumerate(alone))
        result[piece.plane][piece.own(2)] = choice[piece.inner(2)]


def _radius(sides: tuple[int, int]) -> int:
    return max(sides) // 2


def _halved(pixels: Planes) -> Planes:
    """The mean of every cell of 2x2 pixels; what lies beyond the border is like what lies at it."""
    height, width = pixels.shape
    if height % 2 or width % 2:
        pixels = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    halved: Planes = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return halved


def _mean(plane: Planes, side: int) -> Planes:
    mean: Planes = cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT_101)
    return mean


def _begin(scores: Planes, result: Chosen, piece: Piece) -> None:
    """Choose by oneself."""
    own = piece.own()
    result[(piece.plane, *own)] = elected((plane[own], None) for plane in scores[piece.plane])


def _persuade(scores: Planes, choice: Chosen, result: Chosen, piece: Piece) -> None:
    """Choose by the scores and what neighbours choose."""
    own, inner, neighbours = piece.own(), piece.inner(), choice[(piece.plane, *piece.seen())]
    votes = (votes_for(neighbours, action, *OF_CELLS) for action in range(scores.shape[1]))
    result[(piece.plane, *own)] = elected(
        (plane[own], None if given is None else given[inner])
        for plane, given in zip(scores[piece.plane], votes, strict=True)
    )
