from hypothesis import given
from hypothesis import strategies as st

from pssr.io.header import channel_names


@given(st.lists(st.none() | st.text(max_size=5), max_size=6), st.integers(1, 6))
def test_every_channel_has_a_name(given_names, count):
    names = channel_names(given_names, count)
    assert len(names) == count
    assert all(names)


def test_names_are_kept_filled_in_and_told_apart():
    assert channel_names(["mito", None, " er "], 4) == ("mito", "channel 1", "er", "channel 3")
    assert channel_names(["Ch1", "ch1"], 2) == ("Ch1 (0)", "ch1 (1)")
