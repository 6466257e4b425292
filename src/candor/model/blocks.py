"""The decoder's blocks, wherever an architecture keeps them."""

from __future__ import annotations

from typing import Any

from torch import nn

from candor.core.errors import CandorError


def decoder_blocks(model: Any) -> list[nn.Module]:
    """The decoder's blocks in order, for any transformers causal model.

    Raises:
        CandorError: they are not where decoder-only models have them.
    """
    decoder = model.get_decoder()
    blocks = getattr(decoder, "layers", None)
    if blocks is None:
        blocks = getattr(decoder, "h", None)
    if blocks is None:
        raise CandorError(
            f"{type(model).__name__}: its decoder blocks can't be found",
            fix="use a decoder-only causal language model",
        )
    return list(blocks)
