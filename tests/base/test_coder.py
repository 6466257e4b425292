from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.base.coder import LARGEST_TOTAL, Decoder, Encoder

CHOICES = st.lists(
    st.tuples(st.lists(st.integers(1, LARGEST_TOTAL // 8), min_size=1, max_size=8), st.integers(0, 7)),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(CHOICES)
def test_choices_come_back(choices):
    encoder = Encoder()
    picked = [(widths, pick % len(widths)) for widths, pick in choices]
    for widths, pick in picked:
        encoder.add(sum(widths[:pick]), widths[pick], sum(widths))
    decoder = Decoder(encoder.finish())
    for widths, pick in picked:
        target = decoder.target(sum(widths))
        low = sum(widths[:pick])
        assert low <= target < low + widths[pick]
        decoder.take(low, widths[pick])


def test_the_length_is_that_of_the_information():
    draw = np.random.default_rng(0)
    total, bits, encoder = 1 << 40, 0.0, Encoder()
    for _ in range(5000):
        width = int(2 ** draw.uniform(20, 40))
        encoder.add(int(draw.integers(0, total - width + 1)), width, total)
        bits -= math.log2(width / total)
    assert bits - 8 < 8 * len(encoder.finish()) < bits + 5000 * 1e-4 + 16  # a length says something too


def test_certainty_costs_nothing_and_no_choices_are_no_bytes():
    encoder = Encoder()
    assert Encoder().finish() == b""
    for _ in range(1000):
        encoder.add(0, 77, 77)
    assert len(encoder.finish()) <= 1
