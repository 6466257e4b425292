"""Encoded conversations on disk, so that what one stage has tokenised no other has to: safetensors.

Example `i` has tokens [ends[i - 1], ends[i]) of `token_ids` and `supervised`, and is of the conversation in
row `rows[i]` of the file of conversations beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from candor.core.files import atomic_path
from candor.data.conversations import Example


@dataclass(frozen=True)
class Encoded:
    """Examples, and for each the number of the conversation that it is of, from 0 and never falling."""

    examples: list[Example]
    rows: list[int]

    def of_first(self, conversations: int) -> Encoded:
        """Those of the first so many conversations."""
        count = sum(row < conversations for row in self.rows)
        return Encoded(self.examples[:count], self.rows[:count])


def write_encoded(path: Path, encoded: Encoded) -> None:
    """Write examples atomically; none of them may be one to `keep`."""
    examples = encoded.examples
    tensors = {
        "token_ids": _joined([example.token_ids for example in examples], np.int32),
        "supervised": _joined([example.supervised for example in examples], np.bool_),
        "ends": np.cumsum([len(example.token_ids) for example in examples], dtype=np.int64),
        "weights": np.array([example.weight for example in examples], np.float64),
        "rows": np.array(encoded.rows, np.int64),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def read_encoded(path: Path) -> Encoded:
    """Read what `write_encoded` wrote."""
    found = load_file(path)
    parts = (np.split(found[name], found["ends"][:-1]) for name in ("token_ids", "supervised"))
    examples = [
        Example(tuple(ids.tolist()), tuple(learned.tolist()), weight)
        for ids, learned, weight in zip(*parts, found["weights"].tolist(), strict=True)
    ]
    return Encoded(examples, found["rows"].tolist())


def _joined(parts: Sequence[Sequence[int]], kind: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.array(part, kind) for part in parts])
