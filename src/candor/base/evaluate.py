"""How well text is compressed: by a model's expectations, and by programs made for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    jobs: dict[str, Callable[[], int]] = {
        name: partial(_length, compress, data) for name, compress in COMPRESSORS.items()
    }
    if read_first is not None and read_bytes <= _MOST_READ_FIRST:
        before = "\n\n".join(read_first).encode() + b"\n\n"
        jobs["xz having read the training text"] = lambda: _length(xz, before + data) - _length(xz, before)
    with ThreadPoolExecutor(2) as pool:
        sizes = list(pool.map(_size, jobs.values()))
    return [
        {"name": name, "note": size}
        if isinstance(size, str)
        else {"name": name, "bytes": size, "bits_per_byte": 8 * size / max(1, len(data))}
        for name, size in zip(jobs, sizes, strict=True)
    ]


def _length(compress: Callable[[bytes], bytes], data: bytes) -> int:
    return len(compress(data))


def _size(job: Callable[[], int]) -> int | str:
    try:
        return job()
    except ImportError as error:
        return f"needs the package '{error.name}'"
