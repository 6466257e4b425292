"""Short dialogues with fixed words of the user, to be read: what a model makes of them, without any score.

    python benchmarks/dialogues.py --model runs/chat > dialogues.md

Numbers say how often; only reading says what goes wrong. The user's turns are written beforehand, so that
models can be compared line by line; one that answers otherwise than expected gets the next turn all the same.
"""

from __future__ import annotations

import argparse

DIALOGUES: tuple[tuple[str, ...], ...] = (
    ("Hi! How are you today?", "I'm fine, thanks. I slept badly, though.", "What did I say about my sleep?"),
    ("My name is Ada.", "I like sailing.", "What is my name?"),
    ("What is the capital of France?", "And of Italy?", "Which of the two is further south?"),
    ("I have two cats and a dog.", "How many animals do I have?"),
    ("Please answer only with yes or no. Is the sun a star?", "Is the moon a star?", "Why?"),
    ("I feel a bit sad today.", "My best friend moved to another city.", "What could I do this evening?"),
    ("Tell me something about the sea.", "Is that always so?"),
    ("My favourite colour is green.", "No, I meant blue.", "What is my favourite colour?"),
    ("What is the chemical symbol of iron?", "And of gold?", "Thank you!"),
    ("I'm planning a trip to Norway in January.", "What should I pack?", "Where did I say I was going?"),
    ("Write one sentence about a lighthouse.", "Now make it shorter."),
    ("What is 7 + 5?", "And if you add 10 to that?"),
    ("Recommend me a book.", "I don't like crime novels.", "Who wrote it?"),
    ("Who was Orson Kovacs?", "Are you sure?"),
    ("Good morning!", "I have to give a talk today and I'm nervous.", "It's in ten minutes!"),
    ("What do you do when it rains?", "I like to read.", "What do I like to do when it rains?"),
    ("Explain in one sentence why the sky is blue.", "I don't understand. Simpler, please."),
    ("I am allergic to nuts.", "Suggest a snack for me.", "Is that safe for me?"),
    ("Do you prefer tea or coffee?", "Why?", "What did you say you prefer?"),
    ("What's the largest planet?", "How many moons does it have?", "Are you certain?"),
    ("My brother is called Tom and my sister is called Mia.", "Who is Mia?", "And Tom?"),
    ("Hello", "Bye"),
    ("Count from one to five.", "Now backwards."),
    ("I just got a new job!", "It's at a bakery.", "What do you think I will do there?"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a checkpoint with a chat template")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--max-tokens", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling

    engine = LocalEngine.load(options.model)
    sampling = Sampling(
        max_tokens=options.max_tokens, temperature=options.temperature, top_p=0.95, seed=options.seed
    )
    talks: list[list[dict[str, str]]] = [[] for _ in DIALOGUES]
    for turn in range(max(map(len, DIALOGUES))):
        going = [number for number, words in enumerate(DIALOGUES) if turn < len(words)]
        for number in going:
            talks[number].append({"role": "user", "content": DIALOGUES[number][turn]})
        prompts = [talks[number] for number in going]
        for number, found in zip(going, engine.generate(prompts, sampling), strict=True):  # type: ignore[arg-type]
            one = found.completions[0]
            cut = " …" if one.finish_reason == "length" else ""
            talks[number].append({"role": "assistant", "content": one.text.strip() + cut})
    for number, talk in enumerate(talks, start=1):
        print(f"{number}.")
        for message in talk:
            who = "you" if message["role"] == "user" else "model"
            print(f"   - {who}: {' '.join(message['content'].split())}")


if __name__ == "__main__":
    main()
