"""Documents that say the same, or nearly: hashes of whole texts, and MinHash signatures compared in bands.

A document is the set of its sequences of five words. The share of equal values in two signatures estimates
the Jaccard similarity of two such sets (Broder 1997); two documents are near-duplicates if all values of some
band are equal, which finds nearly all pairs of a similarity above 0.8 and few below 0.6 (Leskovec, Rajaraman
and Ullman, Mining of Massive Datasets, ch. 3). The defaults are FineWeb's: 14 bands of 8 values.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

import numpy as np

SHINGLE, BANDS, ROWS = 5, 14, 8
_WORD = re.compile(r"\w+")
_AT_ONCE = 1024


def digest(text: str) -> int:
    """A hash of a text's words in lower case: 64 bits."""
    words = " ".join(_WORD.findall(text.lower()))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little")


def band_hashes(text: str) -> np.ndarray:
    """One hash for each band of a text's signature, uint64 [BANDS]."""
    words = _WORD.findall(text.lower())
    shingles = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
    hashed = b"".join(hashlib.blake2b(shingle.encode(), digest_size=8).digest() for shingle in shingles)
    hashes = np.frombuffer(hashed, np.uint64)
    found = np.full(BANDS * ROWS, np.iinfo(np.uint64).max)
    for begin in range(0, len(hashes), _AT_ONCE):
        # Multiply and shift (Dietzfelbinger et al. 1997): the high half of a product modulo 2^64.
        some = (hashes[begin : begin + _AT_ONCE, None] * _FACTORS + _SHIFTS) >> np.uint64(32)
        found = np.minimum(found, some.min(axis=0))
    signature = found.astype("<u8").reshape(BANDS, ROWS)
    bands = [
        hashlib.blake2b(bytes([number]) + band.tobytes(), digest_size=8).digest()
        for number, band in enumerate(signature)
    ]
    return np.frombuffer(b"".join(bands), np.uint64)


# Not from a generator of random numbers: those may change from one version of NumPy to the next.
_DRAWN = np.frombuffer(hashlib.shake_256(b"candor: near-duplicates").digest(BANDS * ROWS * 16), "<u8")
_FACTORS = (_DRAWN[::2] | np.uint64(1)).astype(np.uint64)
_SHIFTS = _DRAWN[1::2].astype(np.uint64)


@dataclass
class Seen:
    """What came before, for finding what comes again."""

    digests: set[int] = field(default_factory=set)
    bands: set[int] = field(default_factory=set)

    def again(self, text: str) -> tuple[bool, int]:
        """Whether this very text (but for case and punctuation) was there, and its digest."""
        found = digest(text)
        return found in self.digests, found

    def nearly_again(self, text: str) -> tuple[bool, np.ndarray]:
        """Whether something much like it was there, and its bands."""
        found = band_hashes(text)
        return not self.bands.isdisjoint(found.tolist()), found

    def add(self, digests: list[int], bands: np.ndarray) -> None:
        """Note documents that are kept."""
        self.digests.update(digests)
        self.bands.update(bands.reshape(-1).tolist())
