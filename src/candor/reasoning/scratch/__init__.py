"""Small models from scratch, on questions of a few characters: what they learn from how many examples."""
