"""Recipes of a life on GPUs, which no test can run: what they name is there, and their sums are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from candor.base.shape import training_for, weights_of
from candor.core.recipe import read_recipe, to_toml
from candor.life.recipe import OWN, LifeRecipe
from candor.reasoning.scratch.emerge import Subject
from candor.rewards.hacking.recipe import ARMS
from candor.rewards.rlhf.arms import Arm
from candor.train.sharding import divides

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = ("h200", "node")

# What the recipes assume: operations a second of a GPU, the share of them that is reached, tokens of a
# document of FineWeb-Edu, the most tokens of a question with its answer, and what a GPU holds.
PEAK, UTILISATION, DOCUMENT, ANSWER, GPU = 989e12, 0.40, 1000, 100, 80e9


class Shape(NamedTuple):
    weights: float
    layers: int
    width: int


# Of the hub's models, by their config.json.
HUB = {
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": Shape(1.71e9, 24, 2048),
    "Qwen/Qwen2.5-7B-Instruct": Shape(7.62e9, 28, 3584),
}
OTHERS = {"HuggingFaceTB/SmolLM2-135M", "openai-community/gpt2"}
DATA = {"HuggingFaceFW/fineweb-edu": "sample-10BT", "HuggingFaceTB/smol-smoltalk": None}


class Sum(NamedTuple):
    """What training comes to, on each GPU."""

    weights: float
    tokens: float
    operations: float
    minutes: float
    gigabytes: float


def life(name: str) -> LifeRecipe:
    return read_recipe(LifeRecipe, RECIPES / f"{name}.toml")


def stated(name: str) -> dict[str, Sum]:
    """The sums in the recipe's comments."""
    text = (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    number = r"([\d.e]+)"
    line = (
        rf"^#   (\w+): {number} weights, {number} tokens(?: at most)?, {number} operations, {number} min, "
        rf"{number} GB$"
    )
    return {found[0]: Sum(*map(float, found[1:])) for found in re.findall(line, text, re.M)}


def worked_out(shape: Shape, tokens: float, processes: int, kept: float, micro: int) -> Sum:
    """The same by arithmetic.

    Args:
        shape: of the model.
        tokens: that are learned from.
        processes: that share an update.
        kept: bytes of each GPU for weights, gradients and the optimiser.
        micro: tokens at once.
    """
    operations = 6 * shape.weights * tokens
    seconds = operations / (PEAK * UTILISATION * processes)
    activations = 34 * shape.layers * shape.width * micro
    return Sum(shape.weights, tokens, operations, seconds / 60, (kept + activations) / 1e9)


def base_of(recipe: LifeRecipe) -> Shape:
    model = recipe.base.model
    weights = weights_of(model, recipe.base.tokenizer.vocabulary)
    return Shape(weights, model.depth, model.width or 64 * model.depth)


def sums(recipe: LifeRecipe) -> dict[str, Sum]:
    base, train, tune, several = base_of(recipe), recipe.base.train, recipe.chat.tune, recipe.processes
    documents = sum(source.documents or 0 for source in recipe.base.corpus.sources)
    conversations = sum(source.conversations or 0 for source in recipe.chat.data.sources)
    knowledge, shape = recipe.knowledge, HUB[recipe.knowledge.model.name]
    learned = 1 - knowledge.split.validation - knowledge.split.test
    build = knowledge.build
    rows = learned * knowledge.data.max_questions + build.invented + build.rehearsal + build.anchors
    # Weights in bfloat16, float32 masters, gradients and two moments: 18 bytes. Half of them frozen, 10;
    # divided, the whole model stays beside each one's part of 16.
    kept = (2 + 16 / several if knowledge.tune.sharded else 10) * shape.weights
    return {
        "base": worked_out(
            base,
            documents * DOCUMENT * (train.epochs or 0),
            several,
            18 * base.weights,
            train.micro_batch_tokens,
        ),
        "chat": worked_out(
            base,
            conversations * recipe.chat.data.max_tokens * tune.epochs,
            several,
            18 * base.weights,
            tune.micro_batch_tokens,
        ),
        "knowledge": worked_out(
            shape, rows * ANSWER * knowledge.tune.epochs, several, kept, knowledge.tune.micro_batch_tokens
        ),
    }


@pytest.mark.parametrize("name", NAMES)
def test_sums_in_the_comments_are_those_of_the_settings(name: str) -> None:
    told, found = stated(name), sums(life(name))
    assert told.keys() == found.keys()
    for stage, one in found.items():
        assert told[stage][:3] == pytest.approx(one[:3], rel=6e-3), stage
        assert told[stage][3:] == pytest.approx(one[3:], abs=0.51), stage


@pytest.mark.parametrize("name", NAMES)
def test_training_fits_the_gpu_and_the_time_that_is_stated(name: str) -> None:
    found = sums(life(name))
    assert max(one.gigabytes for one in found.values()) * 1e9 < 0.8 * GPU  # the rest for logits and the like
    assert sum(one.minutes for one in found.values()) < {"h200": 40, "node": 60}[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_them_is_there(name: str) -> None:
    recipe = life(name)
    Subject(recipe.emerge)  # the task, and room for its steps
    assert {Arm.of(spec).name for spec in recipe.hacking.arms} >= {"none", "kl", "chi2"}
    assert set(recipe.hacking.arms) <= set(ARMS)
    assert recipe.knowledge.engine.engine in ("local", "vllm")
    assert recipe.knowledge.model.name in HUB and set(recipe.base.evaluate.models) == OTHERS
    assert recipe.serve.model == recipe.chat.model.name == OWN
    for source in (*recipe.base.corpus.sources, *recipe.chat.data.sources):
        assert source.embedded is not None or DATA[source.hub or ""] == source.config
    assert recipe.base.model.context == recipe.chat.data.max_tokens  # nothing is cut that could be read


@pytest.mark.parametrize("name", NAMES)
def test_every_process_has_its_share_and_may_be_one_of_several(name: str) -> None:
    recipe = life(name)
    base = recipe.base
    weights = weights_of(base.model, base.tokenizer.vocabulary)
    trained = training_for(base.train, weights, base_of(recipe).width, 10**9, base.seed).settings
    for settings in (trained, recipe.knowledge.tune):
        divides(settings, recipe.processes)  # raises where the two don't go together
        assert settings.batch_tokens / recipe.processes >= 2048  # less would wait for messages
    assert recipe.processes == {"h200": 1, "node": 8}[name]


@pytest.mark.parametrize("name", NAMES)
def test_they_read_back_and_say_that_they_were_not_run(tmp_path: Path, name: str) -> None:
    assert "NOT RUN YET" in (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    (tmp_path / "again.toml").write_text(to_toml(life(name)), encoding="utf-8")
    assert read_recipe(LifeRecipe, tmp_path / "again.toml") == life(name)
