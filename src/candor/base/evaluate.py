"""How well text is compressed: by a model's expectations, and by programs made for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.base.compressors import COMPRESSORS, xz
from candor.core.statistics import bootstrap
from candor.data.conversations import Example
from candor.model.batches import collate
from candor.train.loss import Objective

# Text beyond this is too much for xz to have read first: its dictionary would not hold it.
_MOST_READ_FIRST = 64 << 20
_WINDOW = 1024


def document_bits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    on_progress: Callable[[int], None] | None = None,
) -> list[float]:
    """Bits that each text costs under a model: minus the logarithm of its probability.

    A text is read in windows of at most 1,024 tokens (less if the model's context is shorter), each after the
    start token; the next window knows nothing of it, as in `candor compress`.
    """
    config = model.config.get_text_config()
    window = min(_WINDOW, int(getattr(config, "max_position_embeddings", 0) or _WINDOW) - 1)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    begin = int(start or 0)  # type: ignore[arg-type]
    sample: Any = tokenizer(texts[0][:200], add_special_tokens=False)["input_ids"]
    model.eval()
    objective = Objective(model, [begin, *sample])
    found = []
    for text in texts:
        ids: Any = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        windows = [
            Example((begin, *ids[i : i + window]), (False,) + (True,) * len(ids[i : i + window]))
            for i in range(0, len(ids), window)
        ]
        nats = sum(
            objective.loss(collate([one], pad_id=begin, packs=objective.packs).to(model.device))
            for one in windows
        )
        found.append(nats / math.log(2))
        if on_progress:
            on_progress(1)
    return found


def bits_per_byte(bits: Sequence[float], texts: Sequence[str]) -> dict[str, Any]:
    """The ratio over all documents, with an interval from resampling documents."""
    sizes = [len(text.encode()) for text in texts]
    return bootstrap(lambda cost, size: float(cost.sum() / size.sum()), bits, sizes, seed=0).as_dict() | {
        "bytes": int(np.sum(sizes))
    }


def programs(texts: Sequence[str], read_first: Iterable[str] | None, read_bytes: int) -> list[dict[str, Any]]:
    """What compression programs make of the texts, one after the other in one file.

    Args:
        texts: the held-out documents.
        read_first: the training documents, for xz to read before; None: not measured.
        read_bytes: of those.

    Returns:
        A row each: name, bytes after, bits per byte; `note` instead where a package is missing.
    """
    data = "\n\n".join(texts).encode()
    with ThreadPoolExecutor(2) as pool:
        added: list[Future[int | str]] = []
        if read_first is not None and read_bytes <= _MOST_READ_FIRST:
            before = "\n\n".join(read_first).encode() + b"\n\n"
            # First, because these two take longest.
            added = [pool.submit(_size, xz, text) for text in (before + data, before)]
        found = pool.map(partial(_size, data=data), COMPRESSORS.values())
        sizes = dict(zip(COMPRESSORS, found, strict=True))
        if added:
            whole, first = (int(size.result()) for size in added)
            sizes["xz having read the training text"] = whole - first
    return [
        {"name": name, "note": size}
        if isinstance(size, str)
        else {"name": name, "bytes": size, "bits_per_byte": 8 * size / max(1, len(data))}
        for name, size in sizes.items()
    ]


def _size(compress: Callable[[bytes], bytes], data: bytes) -> int | str:
    try:
        return len(compress(data))
    except ImportError as error:
        return f"needs the package '{error.name}'"
