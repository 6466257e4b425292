"""From a base model to one that converses: tokens, tuning, talking, and what depends on earlier turns."""
