"""Candor: language models that know what they don't know, measured at every step."""

__version__ = "0.1.0"
