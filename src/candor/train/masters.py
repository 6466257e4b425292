"""AdamW, or Muon, on float32 master weights for a model that computes in bfloat16.

bfloat16 has 8 bits of precision: an update smaller than 1/256 of a weight rounds away, and at a tuning
rate of 2e-5 nearly all are. So the optimiser owns a float32 copy; gradients are added up in float32 and the
model's weights are the copy rounded, renewed after each step. (Micikevicius et al., Mixed Precision
Training, 2018.) Autocast over float32 parameters
gives much the same arithmetic, but casts every weight in every forward pass and every gradient in every
backward pass: an update of SmolLM2-135M took 17 % longer so (3.0 s against 2.6 s of one Zen 5 core, 1,900
tokens).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from candor.model.kernels import accumulate, flat
from candor.train.distributed import Group
from candor.train.settings import TrainSettings
from candor.train.sharding import whole


class Masters:
    """The trainable weights of a model in float32, with their optimiser.

    Gradients of the model's parameters are moved into the masters' as soon as each is complete. A model
    that is float32 already is its own master.

    Args:
        model: its parameters that require gradients are trained.
        settings: rates and decay.
        group: processes whose gradients are added up; they have been where a model is divided among them.
    """

    def __init__(self, model: nn.Module, settings: TrainSettings, group: Group | None = None) -> None:
        self._group = group or Group()
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        self.weights = [
            p if p.dtype == torch.float32 else nn.Parameter(p.detach().float()) for p in self._parameters
        ]
        self._apart = [(p, w) for p, w in zip(self._parameters, self.weights, strict=True) if p is not w]
        self._hooks = [p.register_post_accumulate_grad_hook(self._collector(w)) for p, w in self._apart]
        self._clip = settings.grad_clip
        self._divided = any(isinstance(weight, DTensor) for weight in self.weights)
        inner = _inner_matrices(model) if settings.optimizer == "muon" else set()
        both: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
        for parameter, weight in zip(self._parameters, self.weights, strict=True):
            both[id(parameter) in inner].append(weight)
        self._adamw, self._muon = _adamw(both[0], settings), _muon(both[1], settings)
        self._fresh: set[nn.Parameter] = set()
        self._start()

    @property
    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [one for one in (self._adamw, self._muon) if one is not None]

    def _collector(self, weight: nn.Parameter) -> Callable[[torch.Tensor], None]:
        def collect(parameter: torch.Tensor) -> None:
            gradient = parameter.grad
            parameter.grad = None
            if gradient is None:
                return
            if weight.grad is None:
                weight.grad = torch.empty_like(weight)
            if weight in self._fresh:  # the first micro-batch overwrites: no pass to write zeros
                weight.grad.copy_(gradient)
                self._fresh.discard(weight)
            elif weight.device.type == "cpu":
                accumulate(flat(weight.grad), flat(gradient))
            else:
                weight.grad.add_(gradient)

        return collect

    def _start(self) -> None:
        self._fresh = {weight for _, weight in self._apart}
        for parameter, weight in zip(self._parameters, self.weights, strict=True):
            if parameter is weight:
                parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> float:
        """Update the weights from the gradients added up since the last step; return the gradient's norm."""
        for weight in self.weights:
            if weight.grad is None or weight in self._fresh:  # took no part (an expert that no token chose)
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        if not self._divided:  # else they have been added up on the way back
            self._group.add_up(gradients)
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        if self._clip > 0 and float(norm) > self._clip:
            self._divide_gradients(norm / self._clip)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
        if self._adamw is not None:
            self._adamw.grad_scale = None  # type: ignore[attr-defined]
        self.publish()
        self._start()
        return float(norm)

    def _divide_gradients(self, by: torch.Tensor) -> None:
        for optimizer in self._optimizers:
            if optimizer is self._adamw and not self._divided:
                # The fused kernel divides as it reads: clipping costs no pass of its own.
                self._adamw.grad_scale = by.float()  # type: ignore[attr-defined]
                continue
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad.div_(float(by))

    @torch.no_grad()
    def publish(self) -> None:
        """Round the masters into the model's weights."""
        for parameter, weight in self._apart:
            parameter.copy_(weight)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor of the training state by name: masters, and what the optimisers keep of each."""
        for name, weight in zip(self.names, self.weights, strict=True):
            yield f"master.{name}", weight.detach()
            for optimizer in self._optimizers:
                if weight in optimizer.state:
                    for key, value in optimizer.state[weight].items():
                        yield f"{key}.{name}", value

    def close(self) -> None:
        """Detach from the model: later backward passes of it are ordinary ones."""
        for hook in self._hooks:
            hook.remove()
        for parameter in self._parameters:
            parameter.grad = None


# State is made with the optimisers, so that a checkpoint can be read into it before the first step.


def _adamw(weights: list[nn.Parameter], settings: TrainSettings) -> torch.optim.AdamW | None:
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        return None
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)
    for weight in weights:
        optimizer.state[weight] = {
            "step": torch.zeros((), dtype=torch.float32, device=weight.device),
            "exp_avg": torch.zeros_like(weight),
            "exp_avg_sq": torch.zeros_like(weight),
        }
    return optimizer


def _muon(weights: list[nn.Parameter], settings: TrainSettings) -> torch.optim.Muon | None:
    """Steps of about AdamW's size (0.2 √(larger side), Liu et al. 2025), so that its rates hold here too."""
    if not weights:
        return None
    optimizer = torch.optim.Muon(
        weights,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    for weight in weights:
        optimizer.state[weight] = {"momentum_buffer": torch.zeros_like(weight)}
    return optimizer


def _inner_matrices(model: nn.Module) -> set[int]:
    """The identities of all matrices between embedding and head."""
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]  # type: ignore[operator]
    outer = {id(p) for part in ends if part is not None for p in part.parameters()}
    return {id(p) for p in model.parameters() if p.ndim == 2 and id(p) not in outer}
