"""How small does a language model make a text, beside general compressors?

    python benchmarks/compression.py TEXT                       # SmolLM2, the whole file, and back again
    python benchmarks/compression.py TEXT --model M --chunk-tokens 2048
    python benchmarks/compression.py TEXT --bytes 200000 --no-decompress

xz -9e and bzip2 -9 come with Python; zstd -19 --long and brotli -11 are measured where the packages
`zstandard` and `brotli` are installed. Of the model only the file counts, as of the others only theirs:
whoever decompresses has the weights already, whose size is printed.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any


def by_model(data: bytes, options: argparse.Namespace) -> dict[str, Any]:
    """Compressed by the model, and decompressed unless that was declined."""
    from candor.base.canonical import Canonical
    from candor.base.codec import Codec
    from candor.core.progress import Reporter
    from candor.model.load import load_model, load_tokenizer

    model = load_model(options.model, dtype="float32", device="cpu")
    weights = sum(parameter.numel() for parameter in model.parameters())
    codec = Codec(Canonical(model), load_tokenizer(options.model))
    reporter = Reporter()
    begun = time.perf_counter()
    with reporter.bar("compressing", 0) as bar:
        packed = codec.compress(data, chunk_tokens=options.chunk_tokens, on_progress=bar.progress)
    result = {"bytes": len(packed), "seconds": time.perf_counter() - begun, "weights": weights}
    if not options.no_decompress:
        begun = time.perf_counter()
        with reporter.bar("decompressing", 0) as bar:
            if codec.decompress(packed, on_progress=bar.progress) != data:
                raise SystemExit("the text did not come back")
        result["seconds_back"] = time.perf_counter() - begun
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--chunk-tokens", type=int, default=1024)
    parser.add_argument("--bytes", type=int, help="of the file's beginning only")
    parser.add_argument("--no-decompress", action="store_true")
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    options = parser.parse_args()
    from candor.base.compressors import COMPRESSORS

    data = options.text.read_bytes()[: options.bytes]
    rows = []
    for name, compress in COMPRESSORS.items():
        begun = time.perf_counter()
        try:
            size = len(compress(data))
        except ImportError as error:
            print(f"no {name}: the package '{error.name}' is not installed")
            continue
        rows.append({"name": name, "bytes": size, "seconds": time.perf_counter() - begun})
    rows.append({"name": f"candor, {options.model}", **by_model(data, options)})
    smallest = rows[-1]["bytes"]
    print(f"{options.text.name}: {len(data):,} bytes; weights of the model: {rows[-1]['weights']:,}\n")
    print("| compressor | bytes | bits a byte | the model's is smaller by | seconds | and back |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        back = f"{row['seconds_back']:.1f}" if "seconds_back" in row else ""
        print(
            f"| {row['name']} | {row['bytes']:,} | {8 * row['bytes'] / len(data):.3f} "
            f"| {row['bytes'] / smallest:.2f}× | {row['seconds']:.1f} | {back} |"
        )
    if options.out:
        options.out.write_text(json.dumps({"size": len(data), "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
