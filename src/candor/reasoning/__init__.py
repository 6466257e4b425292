"""Reasoning: problems asked in several ways, and reinforcement learning on answers that can be checked."""
