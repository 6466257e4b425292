"""A browser of run folders: list them, open what they hold, compare two, watch one that is under way."""
