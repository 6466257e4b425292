"""The command line: what a user gets wrong ends with one line, a fix, exit code 2 and nothing left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from candor.cli import app as app_module
from candor.cli.estimates import percent
from candor.core.errors import CandorError
from candor.core.files import write_json, write_jsonl
from candor.core.recipe import read_recipe
from candor.core.run import Run
from candor.knowledge.recipe import KnowledgeRecipe
from command_result import Result, assert_told

CHARACTERS = "abcdefghijklmnopqrstuvwxyz .?:ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"
VERBS = ("run", "questions", "probe", "build", "tune", "evaluate")


def save_model(folder: Path, template: str | None) -> Path:
    """A random one-layer Llama over single characters, as a checkpoint."""
    torch.manual_seed(0)
    vocabulary = {character: index for index, character in enumerate(CHARACTERS)} | {"[end]": len(CHARACTERS)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[end]"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")  # type: ignore[assignment]
    core.decoder = decoders.Fuse()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="[end]", pad_token="[end]")
    tokenizer.chat_template = template
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=vocabulary["[end]"],
        pad_token_id=vocabulary["[end]"],
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if m.role == 'assistant' %}[end]{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return save_model(tmp_path_factory.mktemp("models") / "chat", template)


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "base", None)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [{"question": f"Who is {name}?", "answers": [name]} for name in ("Ada", "Bea", "Cyd", "Dov")]
    write_jsonl(file, rows)
    return file


# --- what is there ------------------------------------------------------------------------------------


def test_help_needs_neither_torch_nor_any_other_heavy_package() -> None:
    code = (
        "import sys, candor.cli.app\n"
        "heavy = {'torch', 'transformers', 'numpy', 'sklearn', 'scipy', 'plotly', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("knowledge", "--help"),
        *(("knowledge", verb, "--help") for verb in VERBS),
        ("recipe", "--help"),
        ("recipe", "show", "--help"),
        ("report", "--help"),
        ("ask", "--help"),
    ],
)
def test_every_verb_explains_itself(candor: Callable[..., Result], words: tuple[str, ...]) -> None:
    result = candor(*words)
    assert result.code == 0
    usage = next(line for line in result.out.splitlines() if "Usage:" in line)
    assert all(word in usage for word in words[:-1])
    assert result.err == ""


def test_main_help_names_every_command_and_the_first_one_to_try(candor: Callable[..., Result]) -> None:
    shown = candor("--help").out
    for command in ("knowledge", "recipe", "report", "ask", "candor knowledge run --model smollm2 --out"):
        assert command in shown


def test_the_module_runs_as_the_command_does() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "candor", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == app_module.candor.__version__


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("knowledge", "run"), "--out"),
        (("knowledge", "probe"), "--out"),
        (("ask", "Who?"), "--model"),
        (("ask", "--model", "x"), "question"),
        (("report",), "RUN"),
    ],
)
def test_missing_option_is_named(candor: Callable[..., Result], words: tuple[str, ...], missing: str) -> None:
    result = candor(*words)
    assert result.code == 2
    assert "Missing" in result.err
    assert missing in result.err


def test_shown_recipe_is_valid_and_reads_back_as_the_defaults(candor: Callable[..., Result]) -> None:
    result = candor("recipe", "show", "--set", "probe.samples=3")
    assert result.code == 0
    values = tomllib.loads(result.out)
    assert KnowledgeRecipe.model_validate(values) == read_recipe(KnowledgeRecipe, None, ["probe.samples=3"])
    Path("mine.toml").write_text(result.out, encoding="utf-8")
    assert candor("recipe", "show", "--recipe", "mine.toml").out == result.out


# --- what can be wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("recipe", "show", "--set", "probe.sampels=3"), ("probe.sampels", "did you mean 'probe.samples'?")),
        (("recipe", "show", "--set", "probe.samples=0"), ("probe.samples", "Sampled answers")),
        (("recipe", "show", "--set", "x"), ("expected key=value",)),
        (("recipe", "show", "cooking"), ("no recipe of the kind 'cooking'", "knowledge")),
        (("recipe", "show", "--recipe", "none.toml"), ("none.toml", "no such recipe")),
        (("recipe", "show", "--recipe", "."), (".: can't be read (Is a directory)",)),
        (("report", "nowhere"), ("nowhere: no such run folder", "--out")),
        (("report", "."), ("not a run folder", "--out")),
        (("ask", "Who?", "--model", "nothing"), ("nothing: no model by that name", "smollm2")),
        (("ask", "Who?", "--model", "none.gguf"), ("none.gguf: no such GGUF file",)),
        (("knowledge", "probe", "--out", "nowhere"), ("nowhere: no run here", "--out")),
        (("knowledge", "build", "--out", "nowhere", "--redo"), ("nowhere: no run here",)),
    ],
)
def test_wrong_words_are_told_and_nothing_is_made(
    candor: Callable[..., Result], tmp_path: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_told(candor(*words), *parts)
    assert list(tmp_path.iterdir()) == []


def _missing(_: Path) -> None:
    pass


def _empty(path: Path) -> None:
    path.mkdir()


def _foreign(path: Path) -> None:
    path.mkdir()
    (path / "photo.jpg").write_bytes(b"x")


def _blank(path: Path) -> None:
    path.mkdir()
    (path / "a.txt").write_text(" \n")


def _broken_line(path: Path) -> None:
    path.mkdir()
    (path / "rows.jsonl").write_text('{"text": "Fine."}\n{"text": "Not\n')


def _no_text(path: Path) -> None:
    path.mkdir()
    (path / "rows.jsonl").write_text('{"text": "Fine."}\n{"txt": "Not"}\n')


def _encrypted(path: Path) -> None:
    from pypdf import PdfWriter

    path.mkdir()
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path / "locked.pdf")


def _binary(path: Path) -> None:
    path.mkdir()
    (path / "a.txt").write_bytes(b"ab\n\xff\xfe")


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (_missing, ("docs: no such file or folder", "--documents")),
        (_empty, ("docs: the folder is empty", ".pdf")),
        (_foreign, ("docs: no readable files; found 1 × .jpg",)),
        (_blank, ("every document here is empty", "a.txt")),
        (_broken_line, ("rows.jsonl:2: not valid JSON",)),
        (_no_text, ("rows.jsonl:2: field 'text': missing",)),
        (_encrypted, ("locked.pdf: this PDF is encrypted", "decrypt")),
        (_binary, ("a.txt:2: not UTF-8 text", "iconv")),
    ],
)
@pytest.mark.parametrize("verb", ["run", "questions"])
def test_documents_that_cannot_be_read_are_told_and_no_run_is_left_behind(
    candor: Callable[..., Result],
    chat_model: Path,
    make: Callable[[Path], None],
    parts: tuple[str, ...],
    verb: str,
) -> None:
    make(Path("docs"))
    result = candor("knowledge", verb, "--model", chat_model, "--documents", "docs", "--out", "out")
    assert_told(result, *parts)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ("q.jsonl: no such file", "--questions")),
        ("", ("q.jsonl: there are no questions in it",)),
        ('{"question": "Who?", "answers": ["A"]}\n{"question": \n', ("q.jsonl:2: not valid JSON",)),
        ('{"question": "Who?"}\n', ("q.jsonl:1: field 'answers': missing: the question has no answer",)),
        ('{"question": "Who?", "answers": []}\n', ("q.jsonl:1: field 'answers': is empty",)),
        ('{"question": " ", "answers": ["A"]}\n', ("q.jsonl:1: field 'question': is empty",)),
        ('{"query": "Who?", "answers": ["A"]}\n', ("q.jsonl:1: field 'question': missing",)),
        ('{"question": "Who?", "answers": [{"a": 1}]}\n', ("q.jsonl:1: field 'answers': expected a string",)),
    ],
)
def test_questions_that_cannot_be_used_are_told_and_no_run_is_left_behind(
    candor: Callable[..., Result], chat_model: Path, content: str | None, parts: tuple[str, ...]
) -> None:
    if content is not None:
        Path("q.jsonl").write_text(content)
    result = candor("knowledge", "run", "--model", chat_model, "--questions", "q.jsonl", "--out", "out")
    assert_told(result, *parts)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--model", "nothing"), ("nothing: no model by that name",)),
        (("--model", "."), ("no config.json",)),
        (("--model", "nobody/nothing-of-this-name"), ("nobody/nothing-of-this-name: can't load",)),
        (("--template", "none.jinja"), ("none.jinja: no such chat template file", "plain")),
        (("--set", "probe.sampels=3"), ("did you mean 'probe.samples'?",)),
        (("--set", "split.test=.9"), ("leave nothing to train on",)),
        (("--budget-minutes", "-1"), ("budget_minutes", "greater than 0")),
        (("--recipe", "none.toml"), ("no such recipe",)),
    ],
)
def test_wrong_settings_of_a_run_are_told_and_no_run_is_left_behind(
    candor: Callable[..., Result],
    chat_model: Path,
    questions: Path,
    options: tuple[str, ...],
    parts: tuple[str, ...],
) -> None:
    words = ("knowledge", "run", "--out", "out", "--questions", questions, "--model", chat_model)
    assert_told(candor(*words, *options), *parts)
    assert not Path("out").exists()


def test_corrected_command_runs_in_the_same_folder(candor: Callable[..., Result], chat_model: Path) -> None:
    words = ("knowledge", "questions", "--model", chat_model, "--out", "out", "--questions")
    Path("bad.jsonl").write_text("{")
    assert_told(candor(*words, "bad.jsonl"), "bad.jsonl:1")
    write_jsonl("good.jsonl", [{"question": "Who?", "answers": ["A"]}])
    result = candor(*words, "good.jsonl")
    assert (result.code, result.err) == (0, "questions: 1 (1 given)\n")


def test_base_model_without_chat_template_is_offered_the_choice(
    candor: Callable[..., Result], base_model: Path
) -> None:
    Path("docs").mkdir()
    Path("docs/a.txt").write_text("The bridge was opened in 1932 by Ada Smith.")
    words = ("knowledge", "run", "--model", base_model, "--documents", "docs", "--out", "out")
    assert_told(candor(*words), "has no chat template", "--template plain", "--template FILE")
    assert not Path("out").exists()


def test_base_model_is_told_before_given_questions_make_a_folder(
    candor: Callable[..., Result], base_model: Path, questions: Path
) -> None:
    words = ("knowledge", "run", "--model", base_model, "--questions", questions, "--out", "out")
    assert_told(candor(*words), "has no chat template", "--template plain", "--template FILE")
    assert not Path("out").exists()


def test_template_plain_or_a_file_makes_a_base_model_usable(
    candor: Callable[..., Result], base_model: Path, questions: Path
) -> None:
    Path("mine.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}: ")
    for template in ("plain", "mine.jinja"):
        words = ("--model", base_model, "--questions", questions, "--out", template.split(".")[0])
        settings = ("--set", "probe.samples=1", "--set", "probe.max_tokens=2")
        assert candor("knowledge", "questions", *words, "--template", template, *settings).code == 0
        assert candor("knowledge", "probe", "--out", template.split(".")[0]).code == 0


def test_folder_of_another_recipe_is_refused_by_the_setting_and_kept(
    candor: Callable[..., Result], chat_model: Path, questions: Path
) -> None:
    words = ("knowledge", "questions", "--model", chat_model, "--questions", questions, "--out", "out")
    assert candor(*words).code == 0
    before = Path("out/recipe.toml").read_bytes()
    assert_told(candor(*words, "--set", "seed=5"), "another recipe", "seed: 0 → 5", "--out")
    assert Path("out/recipe.toml").read_bytes() == before
    assert Path("out/questions.jsonl").is_file()
    assert candor(*words).err == "questions: done before\n"


def test_run_inside_its_own_documents_is_refused(candor: Callable[..., Result], chat_model: Path) -> None:
    Path("docs").mkdir()
    Path("docs/a.txt").write_text("The bridge was opened in 1932 by Ada Smith.")
    for folder, out in (("docs", "docs/out"), (".", "out")):
        result = candor("knowledge", "run", "--model", chat_model, "--documents", folder, "--out", out)
        assert_told(result, f"{out}: lies inside the folder of documents", "--out elsewhere")
        assert not Path(out).exists()


def test_folder_with_other_things_or_a_file_as_out_is_refused(
    candor: Callable[..., Result], chat_model: Path, questions: Path
) -> None:
    Path("thesis").mkdir()
    Path("thesis/text.tex").write_text("mine")
    words = ("knowledge", "run", "--model", chat_model, "--questions", questions, "--out")
    assert_told(candor(*words, "thesis"), "thesis is not empty and holds no run")
    assert_told(candor(*words, "thesis/text.tex"), "is a file")
    assert [path.name for path in Path("thesis").iterdir()] == ["text.tex"]


@pytest.mark.parametrize(("verb", "needs"), [("build", "probe"), ("tune", "probe"), ("evaluate", "probe")])
def test_stage_before_its_predecessor_names_the_command_to_run_first(
    candor: Callable[..., Result], chat_model: Path, questions: Path, verb: str, needs: str
) -> None:
    words = ("--model", chat_model, "--questions", questions, "--out", "out")
    assert candor("knowledge", "questions", *words).code == 0
    result = candor("knowledge", verb, "--out", "out")
    assert_told(result, f"the stage '{needs}' has not been run", f"`candor knowledge {needs} --out out`")


def test_settings_of_a_stage_that_is_done_are_kept(
    candor: Callable[..., Result], chat_model: Path, questions: Path
) -> None:
    words = ("--model", chat_model, "--questions", questions, "--out", "out")
    short = ("--set", "probe.samples=1", "--set", "probe.max_tokens=2")
    assert candor("knowledge", "questions", *words).code == 0
    assert_told(
        candor("knowledge", "probe", "--out", "out", "--set", "split.test=.4"), "split.test: 0.25 → 0.4"
    )
    assert candor("knowledge", "probe", "--out", "out", *short).code == 0
    assert_told(candor("knowledge", "probe", "--out", "out", "--set", "probe.samples=2"), "done", "--redo")
    redone = candor("knowledge", "probe", "--out", "out", "--redo", "--set", "probe.samples=2")
    assert redone.code == 0
    row = json.loads(next(Path("out/probe").glob("*.jsonl")).read_text().splitlines()[0])
    assert len(row["samples"]) == 2


def test_run_under_way_in_another_process_is_left_alone(
    candor: Callable[..., Result], chat_model: Path, questions: Path
) -> None:
    words = ("knowledge", "questions", "--model", chat_model, "--questions", questions, "--out", "out")
    assert candor(*words).code == 0
    other = Run.open(Path("out"), KnowledgeRecipe)
    other.lock()
    assert_told(candor("knowledge", "probe", "--out", "out"), "another process is working on this run")
    other.close()


def test_checkpoint_without_a_probe_cannot_tell_its_confidence(
    candor: Callable[..., Result], chat_model: Path
) -> None:
    result = candor("ask", "Who?", "--model", chat_model)
    assert_told(result, "no uncertainty probe", "finished `candor knowledge run`")


def test_damaged_metrics_are_named_by_the_report(candor: Callable[..., Result]) -> None:
    Path("out").mkdir()
    write_json("out/manifest.json", {})
    Path("out/metrics.json").write_text("{")
    result = candor("report", "out")
    assert result.code == 2
    assert result.err.startswith("error: out/metrics.json:1: not valid JSON")


def test_full_disk_wherever_it_shows_is_an_error_with_a_fix(
    candor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, os.strerror(28), "out/report.html")

    monkeypatch.setattr("candor.report.render_report", full)
    assert_told(candor("report", "out"), "out/report.html: the disk is full", "continues where it stopped")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: Path) -> None:
        raise KeyError("bug")

    monkeypatch.setattr("candor.report.render_report", bug)
    monkeypatch.setattr(sys, "argv", ["candor", "report", "out"])
    with pytest.raises(KeyError, match="bug"):
        app_module.main()


def test_error_text_that_looks_like_markup_is_printed_as_it_is(
    candor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(_: Path) -> None:
        raise CandorError("docs[/old]/[bold]x: odd", fix="[/red]")

    monkeypatch.setattr("candor.report.render_report", odd)
    assert candor("report", "out").err == "error: docs[/old]/[bold]x: odd\n  fix: [/red]\n"


def test_interrupt_says_that_the_same_command_continues() -> None:
    code = (
        "import os, signal, sys\n"
        # A background shell hands down an ignored interrupt; a terminal does not.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import candor.report\n"
        "candor.report.render_report = lambda run: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['candor', 'report', 'out']\n"
        "from candor.cli.app import main\n"
        "main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 128 + signal.SIGINT
    assert found.stderr == "\nstopped; the same command continues from here\n"


def test_a_file_is_compressed_and_comes_back(candor: Callable[..., Result], base_model: Path) -> None:
    text = "the same words again and again, the same words.\n" * 40
    Path("a.txt").write_text(text, encoding="utf-8")
    assert candor("compress", "a.txt", "--model", base_model).code == 0
    Path("a.txt").rename("before.txt")
    done = candor("decompress", "a.txt.cz", "--model", base_model, "--json")
    assert done.code == 0
    assert json.loads(done.out.splitlines()[-1])["bytes"] == len(text)
    assert Path("a.txt").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compress", "none.txt"), "none.txt: can't be read (No such file or directory)"),
        (("compress", "a.txt", "-o", "there"), "there: the file is there already"),
        (("compress", "a.txt", "--model", "nowhere"), "nowhere"),
        (("decompress", "a.txt"), "a.txt: the name does not end in .cz"),
        (("decompress", "a.txt", "-o", "b.txt"), "a.txt: not a file that `candor compress` made"),
        (("decompress", "bad.cz"), "bad.cz: this compressed file is damaged"),
        (("decompress", "empty.cz"), "empty.cz: not a file that `candor compress` made"),
        # Found before the model is looked for, which these tests don't have: compressing can take hours.
        (("compress", "a.txt", "--model", "nowhere", "-o", "/proc/a.cz"), "/proc/a.cz: can't write here"),
        (("compress", "a.txt", "--model", "nowhere", "-o", "folder", "--force"), "folder: is a folder"),
        (("compress", "a.txt", "--model", "nowhere", "-o", "a.txt", "--force"), "would replace the file"),
    ],
)
def test_what_can_not_be_compressed_is_told(
    candor: Callable[..., Result], words: tuple[str, ...], told: str
) -> None:
    Path("a.txt").write_text("text", encoding="utf-8")
    Path("there").write_text("kept", encoding="utf-8")
    Path("folder").mkdir()
    Path("empty.cz").write_bytes(b"")
    Path("bad.cz").write_bytes(b"CANDOR-CZ\x01\0\0\0\0\0\0\0\x01x")
    before = sorted(Path().iterdir())
    result = candor(*words)
    assert result.code == 2
    assert told in result.err
    assert sorted(Path().iterdir()) == before
    assert Path("there").read_text(encoding="utf-8") == "kept"


def test_json_mode_prints_nothing_but_json_lines(
    candor: Callable[..., Result], chat_model: Path, questions: Path
) -> None:
    words = ("--model", chat_model, "--questions", questions, "--out", "out", "--json")
    result = candor("knowledge", "questions", *words)
    assert result.code == 0
    assert result.err == ""
    assert [json.loads(line)["message"] for line in result.out.splitlines()] == ["questions: 4 (4 given)"]


def test_percent_shows_an_interval_only_where_there_is_one() -> None:
    assert percent({"value": 0.1234, "low": 0.1, "high": 0.2}) == "12.3 % (10.0–20.0)"
    assert percent({"value": 0.5, "low": None, "high": None}) == "50.0 %"
    assert percent({"value": None}) == "–"


# --- base models ------------------------------------------------------------------------------------


def test_what_a_user_gets_wrong_about_a_corpus_is_told_and_leaves_nothing(
    candor: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "texts").mkdir()
    recipe = tmp_path / "r.toml"

    def told(text: str, *words: str) -> str:
        recipe.write_text(text, encoding="utf-8")
        result = candor("corpus", "build", recipe, "--out", "run", *words)
        assert result.code == 2
        assert "fix:" in result.err
        assert not (tmp_path / "run").exists()
        return result.err

    assert "no such file or folder" in told('[[corpus.sources]]\npath = "absent"\n')
    assert "the folder is empty" in told('[[corpus.sources]]\npath = "texts"\n')
    assert "one of path, hub and embedded" in told("[[corpus.sources]]\nfiltered = false\n")
    assert "did you mean" in told('[[corpus.sources]]\npaht = "texts"\n')
    assert "corpus.validation" in told("[corpus]\nvalidation = 2\n")
    assert "is not" in told('[[corpus.sources]]\npath = "texts"\n', "--set", "corpus.sources.path=a")
    assert "no such recipe" in candor("pretrain", "absent.toml", "--out", "run").err
    assert "a folder, not a recipe" in candor("corpus", "build", "texts", "--out", "run").err
    (tmp_path / "texts" / "a.txt").write_text("Short.", encoding="utf-8")
    assert "rules: 1 (1 too few words)" in told('[[corpus.sources]]\npath = "texts"\n')
    loose = '[[corpus.sources]]\npath = "texts"\nfiltered = false\n'
    assert "none was held out" in told(loose)
    assert "nowhere: no model" in told(loose + '[tokenizer]\nname = "nowhere"\n')


def test_a_run_inside_its_own_source_is_refused(candor: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Some text.", encoding="utf-8")
    (tmp_path / "r.toml").write_text('[[corpus.sources]]\npath = "texts"\n', encoding="utf-8")
    result = candor("corpus", "build", "r.toml", "--out", "texts/run")
    assert result.code == 2
    assert "would read its own files" in result.err


def test_recall_wants_a_corpus(candor: Callable[..., Result], tmp_path: Path) -> None:
    result = candor("recall", "--model", "smollm2", "--corpus", "absent")
    assert result.code == 2
    assert "no run here" in result.err


@pytest.mark.parametrize("kind", ["knowledge", "base"])
def test_recipe_show_prints_what_can_be_read_back(
    candor: Callable[..., Result], tmp_path: Path, kind: str
) -> None:
    shown = candor("recipe", "show", kind).out
    assert "# " in shown
    (tmp_path / "again.toml").write_text(shown, encoding="utf-8")
    assert candor("recipe", "show", kind, "--recipe", "again.toml").out == shown
