"""The whole life of a language model in one run: every stage in order, each an ordinary run of its own."""
