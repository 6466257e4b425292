"""General compression programs at their strongest, to hold a language model against."""

from __future__ import annotations

import bz2
import importlib
import lzma
from collections.abc import Callable

_WINDOW_BITS = 27


def xz(data: bytes) -> bytes:
    """`xz -9e`, with a dictionary of 128 MiB."""
    preset = 9 | lzma.PRESET_EXTREME
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": 1 << _WINDOW_BITS}]
    return lzma.compress(data, lzma.FORMAT_XZ, filters=filters)


def bzip2(data: bytes) -> bytes:
    """`bzip2 -9`."""
    return bz2.compress(data, 9)


def zstd(data: bytes) -> bytes:
    """`zstd -19 --long`; ImportError without the package zstandard."""
    zstandard = importlib.import_module("zstandard")
    settings = zstandard.ZstdCompressionParameters.from_level(19, window_log=_WINDOW_BITS, enable_ldm=True)
    return zstandard.ZstdCompressor(compression_params=settings).compress(data)


def brotli(data: bytes) -> bytes:
    """`brotli -11`, with its largest window; ImportError without the package brotli."""
    return importlib.import_module("brotli").compress(data, quality=11, lgwin=24)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "xz -9e": xz,
    "bzip2 -9": bzip2,
    "zstd -19 --long": zstd,
    "brotli -11": brotli,
}
