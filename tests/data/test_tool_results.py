"""Results are read and not learned, in the very tokens that the engine inserts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from byte_models import byte_tokenizer
from candor.chat.mask import Mask
from candor.core.errors import CandorError
from candor.data.conversations import Conversation, Example, encode, encode_all, encode_turns
from candor.engine.calls import Calls
from candor.engine.text import TokenText
from candor.model.load import load_tokenizer
from candor.tools import Calculator, Tool, ToolLimits

TOOLS = (Calculator(),)


def talk(*turns: str) -> Conversation:
    roles = ("user", "assistant")
    return Conversation.model_validate(
        {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]}
    )


TALK = talk(
    "2 * 3? Not <calc>1</calc><result>1</result>.",
    "<calc>2*3</calc><result>6</result> is 6",
    "And twice?",
    "é <calc>6*2</calc><result>12</result>",
)
SHOWN = (
    "<|turn|>user 2 * 3? Not <calc>1</calc><result>1</result>.<|end|>↵\n"
    "<|turn|>assistant ⟦<calc>2*3</calc>⟧<result>6</result>⟦ is 6<|end|>⟧↵\n"
    "<|turn|>user And twice?<|end|>↵\n"
    "<|turn|>assistant ⟦é <calc>6*2</calc>⟧<result>12</result>⟦<|end|>⟧"
)


def test_results_in_the_assistants_turns_are_not_learned() -> None:
    tokenizer = byte_tokenizer()
    (example,) = encode_turns(TALK, tokenizer, tools=TOOLS)
    assert Mask(example, tokenizer).as_plain() == SHOWN
    assert encode_all([TALK], tokenizer, max_tokens=999, tools=TOOLS)[0] == [example]


def test_without_tools_named_everything_is_learned_as_before() -> None:
    tokenizer = byte_tokenizer()
    plain = encode(TALK, tokenizer)
    assert "⟦<calc>2*3</calc><result>6</result> is 6<|end|>⟧" in Mask(plain, tokenizer).as_plain()
    none = talk("Hi", "Ho", "He", "Ha")
    assert encode(none, tokenizer, tools=TOOLS) == encode(none, tokenizer)


def test_a_result_that_is_not_closed_is_refused() -> None:
    with pytest.raises(CandorError, match="never closed"):
        encode(talk("Hi", "<calc>1</calc><result>1"), byte_tokenizer(), tools=TOOLS)


def test_templates_that_drop_earlier_turns_mask_each_of_them() -> None:
    tokenizer = byte_tokenizer(
        "{% for m in messages %}<|turn|>{{ m.role }} "
        "{{ m.content if loop.last or m.role == 'user' else 'dropped' }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>assistant {% endif %}"
    )
    found = [Mask(example, tokenizer).as_plain() for example in encode_turns(TALK, tokenizer, tools=TOOLS)]
    assert len(found) == 2
    assert found[0].endswith("⟦<calc>2*3</calc>⟧<result>6</result>⟦ is 6<|end|>⟧")
    assert found[1].endswith("⟦é <calc>6*2</calc>⟧<result>12</result>⟦<|end|>⟧")


def sampled(example: Example, tokenizer: PreTrainedTokenizerBase, tools: tuple[Tool, ...]) -> None:
    """Let a model write what is learned: the engine has to insert just what is not."""
    calls, flags = Calls(TokenText(tokenizer), tools, ToolLimits()), []
    begin = example.supervised.index(True)
    for token in example.token_ids[begin:]:
        if calls.forced:
            assert calls.forced[0] == token
        if forced := calls.take_forced():
            flags.append(not forced)
            continue
        calls.read(token)
        flags.append(True)
    assert tuple(flags) == example.supervised[begin:]


SUMS = st.lists(
    st.tuples(st.text("ab <>\n.é", max_size=6), st.integers(-999, 10**6), st.integers(0, 10**6)), max_size=4
)


def written(parts: list[tuple[str, int, int]], tool: Calculator) -> str:
    texts = []
    for prose, a, b in parts:
        call = f"{a} + {b}"
        result = tool.run(call)
        texts.append(
            f"{prose}{tool.opening}{call}{tool.closing}{tool.result_opening}{result}{tool.result_closing}"
        )
    return "".join(texts) + " done"


@settings(max_examples=100, deadline=None)
@given(SUMS)
def test_training_reads_the_tokens_that_the_engine_inserts(parts: list[tuple[str, int, int]]) -> None:
    tokenizer = byte_tokenizer()
    sampled(encode(talk("Hi", written(parts, TOOLS[0])), tokenizer, tools=TOOLS), tokenizer, TOOLS)


def test_training_reads_the_tokens_that_the_engine_inserts_into_smollm2(smollm2: str) -> None:
    """Its vocabulary writes "><" as one token, over the border of call and result, if one lets it."""
    tokenizer = load_tokenizer(smollm2)
    text = written([("", 1, 2), ("\nThen ", 345, 6789), (" ", -5, 5)], TOOLS[0])
    example = encode(talk("Hi", text), tokenizer, tools=TOOLS)
    sampled(example, tokenizer, TOOLS)
    assert "</calc>⟧<result>3</result>⟦↵\nThen " in Mask(example, tokenizer).as_plain()
    marks = Calculator.by_tokens()
    names = [marks.opening, marks.closing, marks.result_opening, marks.result_closing]
    tokenizer.add_special_tokens({"additional_special_tokens": names})  # type: ignore[dict-item]
    example = encode(talk("Hi", written([("So ", 1, 2), ("", 3, 4)], marks)), tokenizer, tools=(marks,))
    sampled(example, tokenizer, (marks,))
    assert "<|/calc|>⟧<|result|>3<|/result|>⟦<|calc|>" in Mask(example, tokenizer).as_plain()
