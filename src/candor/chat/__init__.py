"""From a base model to one that converses: tokens, data, tuning, talking, and what depends on earlier turns."""
