"""Chat: what conversations teach a model, and what it makes of them."""
