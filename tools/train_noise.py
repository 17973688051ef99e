"""Train the network that sees the level of the noise (`pixelrl.noise.network`).

    python tools/training_photos.py PHOTOS
    python tools/train_noise.py PATH/TO/BSDS500/COLOUR/TRAIN PHOTOS/train -o noise.safetensors

Its examples are those of `pixelrl.tasks.CameraDenoising`, and some more clean ones. It learns by the likelihood of the
noise of every block under a normal distribution of the level that it tells; how alike the noise of neighbours is, it
learns by least squares.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import click
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from pixelrl.noise.network import BLOCK, FLOOR, NoiseNetwork, features
from pixelrl.tasks import CameraDenoising
from pixelrl.training.data import Crops, load_photos, rescaled, split

SIDE, AT_ONCE, BATCH = 144, 8, 32


class Examples(NamedTuple):
    """What is seen and what is true, in blocks; kept in half precision, logarithms of powers among them."""

    seen: Tensor
    power: Tensor
    """The logarithm of the mean square of the noise in each channel, with `FLOOR`."""
    alike: Tensor
    """The mean product of neighbours' noise, over its mean square."""

    @classmethod
    def of(cls, image: Tensor, noise: Tensor) -> Examples:
        """Of pictures ``(b, 3, h, w)`` and the noise in them."""
        power = F.avg_pool2d(noise.square(), BLOCK) + FLOOR**2
        product = F.avg_pool2d((noise * noise.roll(-1, -1) + noise * noise.roll(-1, -2)) / 2, BLOCK)
        # Over a wider window, or the ratio of two numbers that vary would be another one on average.
        wide = [F.avg_pool2d(x, 9, 1, 4, count_include_pad=False).mean(1, keepdim=True) for x in (product, power)]
        return cls(*(x.half() for x in (features(image), power.log(), wide[0] / wide[1])))


def loss_of(network: NoiseNetwork, batch: Examples) -> tuple[Tensor, Tensor]:
    """Minus the log-likelihood of the noise, and the squared error of the correlation; means over blocks."""
    level, correlation = network.answer(batch.seen.float())
    power = batch.power.float().exp()
    variance = level.square() + FLOOR**2
    likelihood = 0.5 * (variance.log() + power / variance).mean()
    there = (power.mean(1, keepdim=True) > (4 * FLOOR) ** 2).float()
    return likelihood, ((batch.alike.float() - correlation).square() * there).mean()


def _cover(image: Tensor, target: Tensor, generator: torch.Generator) -> None:
    """Paint over a part of one in six, as borders and masks do: what is there shows no noise."""
    chance, share, value, side = torch.rand(4, generator=generator).tolist()
    if chance > 1 / 6:
        return
    turned = [torch.rot90(x, int(4 * side), (1, 2)) for x in (image, target)]
    for x in turned:  # views of what was given
        x[:, :, : int(0.75 * share * SIDE)] = round(4 * value) / 4


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--crops", "number", default=12_000, show_default=True, help="Examples.")
@click.option("--epochs", default=30, show_default=True, help="How often each is learned from.")
@click.option("--seed", default=4, show_default=True)
def main(folders: tuple[Path, ...], output: Path, number: int, epochs: int, seed: int) -> None:
    """Train on the pictures in FOLDERS."""
    torch.manual_seed(seed)
    host, generator = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    photos = []
    for i, folder in enumerate(folders):
        photos += split(load_photos(folder, 3), 16 if i == 0 else 0)[0]
    crops = Crops(rescaled(photos, (1.0, 0.7, 0.5)), SIDE, AT_ONCE, torch.device("cpu"), recolor=0.2)
    task, began, made = CameraDenoising(), time.monotonic(), []
    for i in range(number // AT_ONCE):
        start = task.begin(crops.sample(host), generator)
        image, target = start.image.clone(), start.target.clone()
        for one, other in zip(image, target, strict=True):
            _cover(one, other, host)
        made.append(Examples.of(image, image - target))
        if (i + 1) % 100 == 0:
            print(f"{AT_ONCE * (i + 1)} examples, {(time.monotonic() - began) / 60:.1f} min", flush=True)
    examples = Examples(*(torch.cat(parts) for parts in zip(*made, strict=True)))
    held_out = Examples(*(x[:400] for x in examples))
    examples = Examples(*(x[400:] for x in examples))
    network = NoiseNetwork()
    some = examples.seen[:2000].float()
    network.mean.copy_(some.mean((0, 2, 3))[:, None, None])
    network.scale.copy_(some.std((0, 2, 3))[:, None, None].clamp_min(0.01))
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    steps = epochs * (len(examples.seen) // BATCH)
    for i in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (i + 1) / 100) * (1 - i / steps)
        chosen = torch.randint(len(examples.seen), (BATCH,), generator=host)
        parts = loss_of(network, Examples(*(x[chosen] for x in examples)))
        optimiser.zero_grad()
        (parts[0] + 0.5 * parts[1]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                average[name].lerp_(tensor, 1 - min(0.998, (1 + i) / (10 + i)))
        if (i + 1) % 500 == 0 or i + 1 == steps:
            now, network_average = (time.monotonic() - began) / 60, NoiseNetwork()
            network_average.load_state_dict(average)
            with torch.no_grad():
                seen = [part.item() for part in loss_of(network_average, held_out)]
            print(f"{i + 1} of {steps}: held out {seen[0]:.4f} {seen[1]:.4f}, {now:.1f} min", flush=True)
            save_file({name: tensor.half().contiguous() for name, tensor in average.items()}, output)


if __name__ == "__main__":
    main()
