"""`candor rl`: its recipe and its stages."""
