from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from candor.core.errors import CandorError
from candor.data.conversations import (
    Conversation,
    encode,
    encode_all,
    encode_turns,
    plain_template,
    render,
)
from candor.model.load import load_tokenizer

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Qwen3's: the last turn of a conversation carries a thinking block that earlier ones lose.
THINKING = CHATML.replace(
    "message['content'] +",
    "('<think>\n\n</think>\n\n' if loop.last and message['role'] == 'assistant' else '')"
    " + message['content'] +",
)


def make_tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    text = ["What is the capital of France?\n\nThe capital of France is Paris.\n", "system user assistant\n"]
    backend.train_from_iterator(text * 5, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    tokenizer.chat_template = template
    return tokenizer


def talk(*turns: str, system: str | None = None) -> Conversation:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return Conversation.model_validate({"messages": messages})


def learned(tokenizer: PreTrainedTokenizerFast, example) -> str:
    pairs = zip(example.token_ids, example.supervised, strict=True)
    return tokenizer.decode([token for token, learn in pairs if learn])


def test_only_the_answer_and_its_end_token_are_supervised():
    tokenizer = make_tokenizer()
    example = encode(talk("Capital of France?", "Paris."), tokenizer)
    assert learned(tokenizer, example) == "Paris.<|im_end|>"
    assert example.supervised[-1], "the newline after the end token is not part of the example"


def test_every_assistant_turn_is_supervised():
    tokenizer = make_tokenizer()
    example = encode(talk("Capital?", "Paris.", "Sure?", "Yes.", system="Be brief."), tokenizer)
    assert learned(tokenizer, example) == "Paris.<|im_end|>Yes.<|im_end|>"


def test_turns_after_the_last_answer_are_left_out():
    tokenizer = make_tokenizer()
    assert encode(talk("Hi", "Ho", "More?"), tokenizer) == encode(talk("Hi", "Ho"), tokenizer)


@pytest.mark.parametrize("answer", ["Paris.", "\n\nParis", " Paris", "", "the capital of", "<|im_start|>"])
@pytest.mark.parametrize("plain", [False, True])
def test_training_prefix_is_what_a_generation_prompt_gives(answer: str, plain: bool):
    tokenizer = make_tokenizer()
    template = plain_template(tokenizer) if plain else None
    conversation = talk("What is the capital of France?", answer)
    example = encode(conversation, tokenizer, template)
    messages = [turn.model_dump() for turn in conversation.messages[:-1]]
    prompt = tokenizer(render(messages, tokenizer, template, open_turn=True), add_special_tokens=False)
    start = example.supervised.index(True)
    assert list(example.token_ids[:start]) == prompt.input_ids
    assert learned(tokenizer, example).strip() == f"{answer.strip()}<|im_end|>".strip()


def test_later_turns_follow_the_prompt_that_generation_would_get():
    tokenizer = make_tokenizer()
    conversation = talk("What is the capital?", "The capital is Paris.", "Of what?", "Of France.")
    example = encode(conversation, tokenizer)
    messages = [turn.model_dump() for turn in conversation.messages[:-1]]
    prompt = tokenizer(render(messages, tokenizer, open_turn=True), add_special_tokens=False).input_ids
    assert list(example.token_ids[: len(prompt)]) == prompt


def test_a_thinking_block_that_the_template_writes_is_learned_too():
    tokenizer = make_tokenizer(THINKING)
    example = encode(talk("Capital?", "Paris"), tokenizer)
    assert learned(tokenizer, example) == "<think>\n\n</think>\n\nParis<|im_end|>"


def test_a_template_that_is_not_prefix_stable_is_refused():
    with pytest.raises(CandorError, match=r"not prefix-stable.*message 4 of 4"):
        encode(talk("a", "b", "c", "d"), make_tokenizer(THINKING))


def test_a_template_without_an_end_token_is_refused():
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    with pytest.raises(CandorError, match="no end token"):
        encode(talk("a", "b"), make_tokenizer(template))


def test_a_model_without_a_template_is_told_about_the_plain_one():
    with pytest.raises(CandorError, match="no chat template") as caught:
        encode(talk("a", "b"), make_tokenizer(None))
    assert "plain" in str(caught.value.fix)


def test_plain_template_reads_as_question_and_answer():
    tokenizer = make_tokenizer(None)
    conversation = talk("One?", "Yes", "Two?", "No", system="Facts.")
    messages = [turn.model_dump() for turn in conversation.messages]
    text = render(messages, tokenizer, plain_template(tokenizer))
    expected = "Facts.\n\nQuestion: One?\nAnswer: Yes<|im_end|>\n\nQuestion: Two?\nAnswer: No<|im_end|>"
    assert text == expected
    example = encode(conversation, tokenizer, plain_template(tokenizer))
    assert learned(tokenizer, example) == " Yes<|im_end|> No<|im_end|>"


def test_plain_template_starts_with_the_start_token_only_where_the_tokenizer_adds_it():
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer(None)
    tokenizer.bos_token = "<|endoftext|>"
    assert not plain_template(tokenizer).startswith("{{ bos_token }}")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.bos_token_id)]
    )
    example = encode(talk("One?", "Yes"), tokenizer, plain_template(tokenizer))
    assert example.token_ids[:2] == tuple(tokenizer("Question").input_ids[:2])
    assert example.token_ids.count(tokenizer.bos_token_id) == 1


def test_smollm2_learns_from_the_prompt_that_it_will_be_given():
    tokenizer = load_tokenizer("smollm2")
    turns = ("What is the chemical symbol of gold?", "Au", "And of tin?", "The symbol of tin is Sn.")
    for count in (2, 4):
        conversation = talk(*turns[:count])
        example = encode(conversation, tokenizer)
        messages = [turn.model_dump() for turn in conversation.messages]
        prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        assert list(example.token_ids[: len(prompt)]) == prompt
        assert tokenizer.decode(example.token_ids[len(prompt) :]) == f"{turns[count - 1]}<|im_end|>"
        assert all(example.supervised[len(prompt) :]) and not any(example.supervised[: len(prompt)][:30])
    assert learned(tokenizer, example) == "Au<|im_end|>The symbol of tin is Sn.<|im_end|>"


def test_too_long_examples_are_left_out_whole_and_counted():
    tokenizer = make_tokenizer()
    short, long = talk("a", "b"), talk("a", "b " * 300)
    examples, too_long = encode_all([short, long, short], tokenizer, max_tokens=100)
    assert (len(examples), too_long) == (2, [1])
    with pytest.raises(CandorError, match="all 1 training"):
        encode_all([long], tokenizer, max_tokens=100)
    with pytest.raises(CandorError, match="more than the 100 allowed"):
        encode(long, tokenizer, max_tokens=100)


def test_a_conversation_without_an_answer_is_refused():
    with pytest.raises(CandorError, match="no assistant turn"):
        encode(talk("a"), make_tokenizer())


def test_a_template_that_raises_is_reported_with_the_roles():
    template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(CandorError, match=r"conversation of user \(TemplateError: roles must alternate"):
        encode(talk("a", "b"), make_tokenizer(template))


def test_a_template_that_changes_earlier_turns_gives_an_example_for_each_turn():
    tokenizer = make_tokenizer(THINKING)
    conversation = talk("Capital of France?", "Paris.", "And its language?", "French.")
    first, second = encode_turns(conversation, tokenizer)
    assert learned(tokenizer, first).endswith("Paris.<|im_end|>")
    assert learned(tokenizer, second).endswith("French.<|im_end|>")
    assert "Paris." not in learned(tokenizer, second)
    assert "Paris." in tokenizer.decode(second.token_ids)


def test_a_template_that_only_appends_gives_one_example():
    tokenizer = make_tokenizer()
    conversation = talk("Capital of France?", "Paris.", "And its language?", "French.")
    assert encode_turns(conversation, tokenizer) == [encode(conversation, tokenizer)]


@given(st.lists(st.text(alphabet="ab \n'1é", min_size=1).filter(str.strip), min_size=2, max_size=7))
@settings(max_examples=200, deadline=None)
def test_tokens_are_those_of_tokenising_from_the_beginning_each_time(contents):
    tokenizer = make_tokenizer()
    conversation = talk(*contents)
    found = encode(conversation, tokenizer)
    with patch("candor.data.conversations._last_cut", lambda *_: (0, 0)):
        assert encode(conversation, tokenizer) == found


def test_many_turns_cost_no_more_than_their_share():
    tokenizer = load_tokenizer("smollm2")
    turns = [f"Question {i}, and a few more words to read." for i in range(60)]
    seen = []
    whole = type(tokenizer).__call__

    def counted(self, text, **options):
        seen.append(len(text))
        return whole(self, text, **options)

    with patch.object(type(tokenizer), "__call__", counted):
        encode(talk(*turns), tokenizer)
    assert sum(seen) < 8 * sum(map(len, turns))
