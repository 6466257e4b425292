"""Every setting of a whole life: each stage's own recipe as a table, sized for two cores by default."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from candor.base.recipe import (
    BaseRecipe,
    CorpusSettings,
    PretrainSettings,
    ShapeSettings,
    SourceSettings,
    TokenizerSettings,
)
from candor.chat.recipe import ChatModelSettings, ChatRecipe, ChatTuneSettings
from candor.core.recipe import Settings
from candor.knowledge.recipe import BuildSettings, DataSettings, KnowledgeRecipe
from candor.reasoning.scratch.recipe import EmergeRecipe
from candor.rewards.hacking.recipe import HackingRecipe

OWN = "base"  # as a model's name: the base model of this life


class ServeRecipe(Settings):
    """Serve a model raw on this machine, and ask it with the openai client."""

    kind: Literal["serve"] = "serve"
    model: str = Field(
        default=OWN, description=f"`{OWN}`: this life's base model; or a checkpoint folder, hub id, smollm2."
    )
    prompts: tuple[str, ...] = Field(
        default=(
            "A: Hi! How was your day?\nB:",
            "The capital of France is",
            "The history of the",
            "Once upon a time",
            "The sea is",
            "In the year",
        ),
        min_length=1,
        description="Texts to go on with; no template is put around them.",
    )
    max_tokens: int = Field(default=32, ge=1, description="Longest completion.")
    alternatives: int = Field(default=3, ge=1, le=20, description="Likeliest tokens kept for each place.")
    # In bfloat16 the last bits depend on what else is decoded at the same time.
    dtype: Literal["bfloat16", "float32", "float16"] = Field(default="float32", description="Arithmetic.")
    seed: int = Field(default=0, ge=0, description="Of the completions that are drawn.")


class BanditSettings(Settings):
    """Bandits whose optima are computed exactly (`candor rewards bandit`)."""

    cases: int = Field(default=200, ge=2, description="Random bandits of each family.")
    seed: int = Field(default=0, ge=0, description="Of what is drawn.")


class LifeRecipe(Settings):
    """The whole life: base, serve, chat, knowledge, think, rewards. The default is for two laptop cores.

    `recipes/laptop.toml` says the same in a file to start your own from.
    """

    kind: Literal["life"] = "life"
    processes: int = Field(
        default=1,
        ge=1,
        description="So many train together what they can (base, chat, and knowledge's tuning), each with a "
        "GPU of its own; the life starts torchrun for that, and one process does all else.",
    )
    base: BaseRecipe = BaseRecipe(
        corpus=CorpusSettings(
            sources=(
                SourceSettings(embedded="conversations", filtered=False, documents=700),
                SourceSettings(embedded="articles"),
                SourceSettings(embedded="facts", filtered=False),
            )
        ),
        tokenizer=TokenizerSettings(vocabulary=4096),
        model=ShapeSettings(depth=4, context=256),
        train=PretrainSettings(epochs=1.0),
    )
    serve: ServeRecipe = ServeRecipe()
    # Its model's name is `base`: this life's base model, with chat tokens added.
    chat: ChatRecipe = ChatRecipe(model=ChatModelSettings(name=OWN), tune=ChatTuneSettings(epochs=2.0))
    # Of the size of recipes/knowledge-laptop.toml in all but the number of questions.
    knowledge: KnowledgeRecipe = KnowledgeRecipe(
        seed=3, data=DataSettings(max_questions=900), build=BuildSettings(max_over_refusal=0.20)
    )
    emerge: EmergeRecipe = EmergeRecipe()
    hacking: HackingRecipe = HackingRecipe(arms=("none", "kl=0.1", "chi2"))
    bandit: BanditSettings = BanditSettings()
