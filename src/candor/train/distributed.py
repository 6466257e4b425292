"""Several processes that train one model together, each on its share of every update (data parallel).

Started by torchrun, processes find each other through its environment variables; each has the whole model,
works on some of an update's micro-batches, and gradients are added up before the step, which all make alike.
What an update consists of does not depend on the number of processes, so neither do the losses, up to the
order in which gradients are added.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist

from candor.core.processes import processes

# Small tensors travel together: a message of so many values at least.
_BUCKET = 1 << 24


@dataclass(frozen=True)
class Group:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1:
            return
        bucket: list[torch.Tensor] = []
        for tensor in tensors:
            bucket.append(tensor)
            if sum(one.numel() for one in bucket) >= _BUCKET:
                _add_up(bucket)
                bucket = []
        if bucket:
            _add_up(bucket)

    def total(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.size == 1:
            return value
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        found = torch.tensor([value], dtype=torch.float64, device=device)
        dist.all_reduce(found)
        return float(found)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """The sum of an array over all processes."""
        if self.size == 1:
            return values
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        found = torch.from_numpy(values).to(device, copy=True)
        dist.all_reduce(found)
        return found.cpu().numpy()

    def agrees(self, yes: bool) -> bool:
        """What the first process says."""
        return self.total(float(yes and self.rank == 0)) > 0

    def same(self, number: int) -> bool:
        """Whether all processes have the same number; all of them are told."""
        return self.total(number * number) * self.size == self.total(number) ** 2


def _add_up(bucket: list[torch.Tensor]) -> None:
    joined = torch.cat([tensor.reshape(-1) for tensor in bucket])
    dist.all_reduce(joined)
    for tensor, part in zip(bucket, joined.split([one.numel() for one in bucket]), strict=True):
        tensor.copy_(part.view_as(tensor))


def group_of(device: torch.device) -> Group:
    """The group that torchrun started, joined if need be; a group of one without it."""
    if not dist.is_initialized():
        if processes() == 1:
            return Group()
        if device.type == "cuda":
            torch.cuda.set_device(device)  # the messages' device; without it the first GPU is everybody's
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        # Its threads, left running until the interpreter is gone, abort a process that has done all its work.
        atexit.register(_leave)
    return Group(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    gc.collect()  # a group goes, and its threads with it, when nothing refers to it any more
    if dist.is_initialized():
        dist.destroy_process_group()
