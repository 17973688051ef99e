"""Train the network that sees the level of the noise (`pixelrl.noise.network`).

    python tools/training_photos.py PHOTOS
    python tools/train_noise.py PATH/TO/BSDS500/COLOUR/TRAIN PHOTOS/train -o noise-estimate.safetensors

Its examples are those of `pixelrl.tasks.CameraDenoising`. It learns by the likelihood of the noise of every pixel under
a normal distribution of the level that it tells; how alike the noise of neighbours is, it learns by least squares.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from pixelrl.noise.network import BLOCK, FLOOR, NoiseNetwork
from pixelrl.tasks import CameraDenoising
from pixelrl.training.data import Crops, load_photos, rescaled, split


def loss_of(network: NoiseNetwork, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Minus the log-likelihood of the noise, and the squared error of the correlation; means over pixels."""
    level, correlation = network(image)
    variance = level.square() + FLOOR**2
    power = F.avg_pool2d(noise.square(), BLOCK)
    likelihood = 0.5 * (variance.log() + (power + FLOOR**2) / variance).mean()
    beside, below = noise * noise.roll(-1, -1), noise * noise.roll(-1, -2)
    alike = F.avg_pool2d((beside + below) / 2, BLOCK) / variance.detach()
    seen = (level.detach() > 4 * FLOOR).float()
    return likelihood, ((alike.clamp(-4, 4) - correlation).square() * seen).mean()


SIDE, BATCH = 144, 8


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--iterations", default=6000, show_default=True)
@click.option("--seed", default=4, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the weights in the output file.")
def main(folders: tuple[Path, ...], output: Path, iterations: int, seed: int, resume: bool) -> None:
    """Train on the pictures in FOLDERS."""
    torch.manual_seed(seed)
    host, generator = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    photos = []
    for i, folder in enumerate(folders):
        photos += split(load_photos(folder, 3), 16 if i == 0 else 0)[0]
    crops = Crops(rescaled(photos, (1.0, 0.7, 0.5)), SIDE, BATCH, torch.device("cpu"), recolor=0.2)
    task, network = CameraDenoising(), NoiseNetwork()
    if resume:
        network.load_state_dict(load_file(output))
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    began, sums = time.monotonic(), [0.0, 0.0]
    for i in range(iterations):
        clean = crops.sample(host)
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (i + 1) / 100) * (1 - i / iterations)
        start = task.begin(clean, generator)
        parts = loss_of(network, start.image, start.image - start.target)
        optimiser.zero_grad()
        (parts[0] + 0.2 * parts[1]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                average[name].lerp_(tensor, 1 - min(0.998, (1 + i) / (10 + i)))
        sums = [total + part.item() for total, part in zip(sums, parts, strict=True)]
        if (i + 1) % 200 == 0:
            minutes = (time.monotonic() - began) / 60
            print(
                f"{i + 1} likelihood {sums[0] / 200:.4f} correlation {sums[1] / 200:.4f} {minutes:.1f} min", flush=True
            )
            sums = [0.0, 0.0]
        if (i + 1) % 500 == 0 or i + 1 == iterations:
            save_file({name: tensor.contiguous() for name, tensor in average.items()}, output)


if __name__ == "__main__":
    main()
