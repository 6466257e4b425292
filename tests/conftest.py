"""What holds for every test: nothing is fetched, and the default model is converted once a machine."""

from __future__ import annotations

import os

import pytest

# Set before any test module imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The name to load SmolLM2-135M-Instruct by, from its package's GGUF file.

    Its bf16 copy (270 MB, 20 s to make) is kept in `$CANDOR_CACHE`, or the user's cache folder, so only the
    first run on a machine pays for it.
    """
    from candor.model.load import SMOLLM2, resolve

    resolve(SMOLLM2)
    return SMOLLM2
