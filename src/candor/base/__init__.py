"""Base models: pretraining as lossy compression, and lossless compression with what was learned."""
