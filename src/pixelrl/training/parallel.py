"""One training in several processes, one per GPU, as ``torchrun`` starts them; alone, everything here does nothing.

All processes draw the same random numbers for the whole batch and each keeps its own slice of it, so what is learned
does not depend on how many they are, up to the order in which floats are added up.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from pixelrl.errors import UsageError

# All wait while the first one validates, which may take longer than the 10 minutes that NCCL would allow.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class Processes:
    """This process among those of one training.

    Attributes:
        rank: which one this is, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates, writes files and talks."""
        return self.rank == 0

    def mine(self, batch: Tensor) -> Tensor:
        """This process's slice ``(b, ...)`` of a whole batch ``(world * b, ...)``."""
        return batch if self.world == 1 else batch.chunk(self.world)[self.rank]

    def average(self, tensors: Sequence[Tensor], numbers: Sequence[float]) -> list[float]:
        """Replace tensors (all on one device) by their means over the processes, and return the numbers' means.

        Every process must call this with as many tensors of the same shapes. It is one exchange: the gradients of a
        network of this size are too many tensors, and too few bytes, to be sent one by one.
        """
        if self.world == 1:
            return list(numbers)
        buffer = torch.cat([*(tensor.reshape(-1) for tensor in tensors), tensors[0].new_tensor(numbers)])
        dist.all_reduce(buffer)
        buffer /= self.world
        sizes = [*(tensor.numel() for tensor in tensors), len(numbers)]
        *means, last = torch.split_with_sizes(buffer, sizes)
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view(tensor.shape))
        return [float(number) for number in last.tolist()]

    def any(self, flags: Sequence[bool], device: torch.device) -> list[bool]:
        """For every flag, whether it is up in any process. All must ask."""
        if self.world == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.int32, device=device)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return [bool(flag) for flag in raised.tolist()]


ALONE = Processes()


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process among those of this machine, where ``torchrun`` started several.

    Raises:
        UsageError: more processes than GPUs.
    """
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    index, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= there:
        raise UsageError(f"process {index + 1} of this machine has no GPU; give torchrun --nproc-per-node {there}")
    return torch.device("cuda", index)


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Meet the other processes that ``torchrun`` started, as its environment variables say, and part in the end.

    Args:
        device: where this process computes: GPUs talk through NCCL, CPUs through gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    except BaseException:
        # NCCL may wait for the others, which may be waiting for this process; torchrun ends them as soon as it is gone.
        # Gloo waits for nobody, and its threads must end before Python does: else the process is aborted, and neither
        # its exit code nor the last lines on its standard error say what went wrong.
        if backend == "gloo":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()
