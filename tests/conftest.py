"""What holds for every test: nothing is fetched."""

from __future__ import annotations

import os

# Set before any test module imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
