"""Weights, gradients and optimiser state divided among processes (FSDP2), for what one device can't hold.

Each process keeps its part of every float32 weight, and of what the optimiser keeps of it. A block's weights
are put together in the arithmetic type when it runs, and forgotten after; gradients are added up in float32,
and each process gets its part of the sum. (Zhao et al., PyTorch FSDP, 2023; `torch.distributed.fsdp`.)

With N weights and P processes, that is 16 N / P bytes on each device. As training begins, a copy of the model
in the arithmetic type is there, too (2 N bytes in bfloat16), which becomes float32 and a part of itself one
block at a time; the model itself stays where it was loaded, to take up the result.
"""

from __future__ import annotations

import atexit
import copy
import os
from typing import cast

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from candor.core.errors import CandorError
from candor.model.blocks import decoder_blocks
from candor.train.settings import TrainSettings


def divides(settings: TrainSettings, processes: int) -> bool:
    """Whether the model is to be divided among so many processes.

    Raises:
        CandorError: it is, and the settings ask for adapters or for Muon too, which are not made for it.
    """
    if not settings.sharded or processes == 1:
        return False
    for name, asked in (("lora_rank", settings.lora_rank > 0), ("optimizer", settings.optimizer != "adamw")):
        if asked:
            raise CandorError(
                f"sharded training and {name} = {getattr(settings, name)} don't go together",
                fix=f"leave out {name}, or sharded: without it every process holds the whole model",
            )
    return True


def training_device() -> torch.device:
    """This process's GPU, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def own_copy(model: PreTrainedModel) -> PreTrainedModel:
    """The same model once more, on this process's device: what is going to be divided."""
    return cast(PreTrainedModel, copy.deepcopy(model).to(training_device()))  # type: ignore[arg-type]


def divide(model: PreTrainedModel, settings: TrainSettings, processes: int) -> None:
    """Replace the weights by this process's parts of them, in float32."""
    mesh = init_device_mesh(model.device.type, (processes,))
    # DTensor's caches keep the mesh and a mesh its group of processes, whose threads, left running while the
    # interpreter is taken down, abort a process that has done all its work. Done before the group's own end.
    atexit.register(mesh._pg_registry.clear)
    computed = torch.bfloat16 if settings.dtype == "bf16" else torch.float32
    policy = MixedPrecisionPolicy(param_dtype=computed, reduce_dtype=torch.float32)
    for block in decoder_blocks(model):
        fully_shard(block.float(), mesh=mesh, mp_policy=policy)
    for parameter in model.parameters():
        if not isinstance(parameter, DTensor):
            parameter.data = parameter.data.float()
    fully_shard(model, mesh=mesh, mp_policy=policy)


@torch.no_grad()
def gather(divided: PreTrainedModel, model: PreTrainedModel) -> None:
    """Put the weights together in a whole model of the same plan; all processes have to take part."""
    into = dict(model.named_parameters())
    for name, parameter in divided.named_parameters():
        into[name].copy_(whole(parameter))


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, divided or not; if it is divided, all processes have to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def assign(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Copy a whole value into a tensor, divided or not."""
    if isinstance(tensor, DTensor):
        value = value.to(tensor.device, tensor.dtype)
        tensor.copy_(distribute_tensor(value, tensor.device_mesh, tensor.placements))
    else:
        tensor.copy_(value)
