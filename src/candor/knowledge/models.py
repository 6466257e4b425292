"""The models that a knowledge run asks: the one under test, its question writer, and the tuned one.

Each is loaded when it is first needed, here or, with a cluster in the recipe, by the cluster's workers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from candor.cluster.shards import Here, Workers
from candor.core.memory import return_freed_memory
from candor.core.progress import Reporter
from candor.engine.choose import Loading
from candor.engine.local import LocalEngine
from candor.engine.prompts import template_text
from candor.engine.protocol import Engine
from candor.knowledge.recipe import KnowledgeRecipe


class Models:
    """What is loaded in this process, and who works on shards.

    Args:
        recipe: the run's.
        checkpoint: where the tuned model is, once it is.
        reporter: told what is loaded.

    Attributes:
        tuned: the tuned model, while it is loaded.
    """

    def __init__(self, recipe: KnowledgeRecipe, checkpoint: Path, reporter: Reporter) -> None:
        self._recipe = recipe
        self._checkpoint = checkpoint
        self._reporter = reporter
        self._engine: Engine | None = None
        self.tuned: LocalEngine | None = None

    @property
    def engine(self) -> Engine:
        """The model under test, in this process."""
        if self._engine is None:
            self._engine = self._load(self._under_test())
        return self._engine

    @property
    def name(self) -> str:
        """What the model under test is called in the manifest."""
        if self._recipe.engine.engine in ("local", "vllm"):
            return self._recipe.model.name
        return self.engine.model_name  # the server knows

    @property
    def template(self) -> str | None:
        """The chat template's text: the recipe's may be `plain`, a file or nothing."""
        return template_text(self._recipe.model.template)

    def release(self) -> None:
        """Let go of the model under test, so that two models are never held at once without need."""
        self._engine = None
        return_freed_memory()

    # --- who works on shards ------------------------------------------------------------------------

    def asking(self) -> Workers:
        """With the model under test."""
        return self._workers(self._under_test(), lambda: self.engine)

    def writing(self) -> Workers:
        """With the model that writes questions."""
        name = self._recipe.engine.generator
        if name is None or name == self._recipe.model.name:
            return self.asking()
        remote = name.startswith(("http://", "https://"))
        kind = name if remote else "local"
        return self._workers(Loading(kind, name, options=self._options(name), chat=False))

    def asking_tuned(self) -> Workers:
        """With the tuned model, which takes the place of the one under test.

        Always with the local engine: tuning is measured by hidden states, and by what the model says where it
        may not refuse, which others don't give.
        """
        self.release()
        name = str(self._checkpoint)
        loading = Loading("local", name, options=self._options(name))
        if self._recipe.cluster.address:
            self.tuned = None
            return_freed_memory()
        return self._workers(loading, lambda: self._tuned(loading))

    def _workers(self, loading: Loading, engine: Callable[[], Engine] | None = None) -> Workers:
        if self._recipe.cluster.address:
            from candor.cluster.ray_workers import RayWorkers  # noqa: PLC0415  (an optional extra)

            return RayWorkers(self._recipe.cluster, loading)
        return Here(engine or self._once(loading))

    def _once(self, loading: Loading) -> Callable[[], Engine]:
        loaded: list[Engine] = []

        def engine() -> Engine:
            if not loaded:
                loaded.append(self._load(loading))
            return loaded[0]

        return engine

    # --- loading ------------------------------------------------------------------------------------

    def _under_test(self) -> Loading:
        settings, name = self._recipe.engine, self._recipe.model.name
        return Loading(settings.engine, name, settings.engine_model, self._options(name))

    def _tuned(self, loading: Loading) -> LocalEngine:
        if self.tuned is None:
            engine = self._load(loading)
            assert isinstance(engine, LocalEngine)
            self.tuned = engine
        return self.tuned

    def _load(self, loading: Loading) -> Engine:
        if loading.kind in ("local", "vllm"):
            self._reporter.say(f"loading {loading.model}")
        return loading.load()

    def _options(self, name: str) -> dict[str, Any]:
        """How a model is loaded; the recipe's template is for the model under test."""
        model = self._recipe.model
        return {
            "dtype": model.dtype,
            "template": self.template if name == model.name else None,
            "trust_remote_code": model.trust_remote_code,
            "max_rows": self._recipe.engine.max_rows,
        }
