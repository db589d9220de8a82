import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pssr.predict.tiles import tiles

SIDES = st.integers(1, 60)


@given(
    SIDES,
    SIDES,
    st.integers(1, 40),
    st.integers(0, 20),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 3]),
)
def test_tiles_cover_every_pixel_once(height, width, side, halo, multiple, scale):
    height, width = height * multiple, width * multiple
    covered = np.zeros((height * scale, width * scale), int)
    for tile in tiles(height, width, side=side, halo=halo, multiple=multiple, scale=scale):
        covered[tile.paste] += 1
    assert (covered == 1).all()


@given(
    SIDES,
    SIDES,
    st.integers(1, 40),
    st.integers(0, 20),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 3]),
)
def test_what_is_kept_of_a_tile_is_what_is_pasted(height, width, side, halo, multiple, scale):
    """Enlarging each tile by repetition and pasting what is kept gives the enlarged frame."""
    height, width = height * multiple, width * multiple
    frame = np.arange(height * width).reshape(height, width)
    out = np.full((height * scale, width * scale), -1)
    for tile in tiles(height, width, side=side, halo=halo, multiple=multiple, scale=scale):
        part = frame[tile.read]
        assert all(s.start % multiple == 0 for s in tile.read)
        assert all(n % multiple == 0 for n in part.shape)
        out[tile.paste] = part.repeat(scale, 0).repeat(scale, 1)[tile.keep]
    np.testing.assert_array_equal(out, frame.repeat(scale, 0).repeat(scale, 1))


@given(SIDES, st.integers(1, 20), st.integers(0, 20))
def test_every_kept_pixel_has_its_halo_or_the_true_border(length, side, halo):
    for tile in tiles(length, length, side=side, halo=halo, multiple=1, scale=1):
        for read, paste in zip(tile.read, tile.paste, strict=True):
            assert read.start == max(0, paste.start - halo)
            assert read.stop == min(length, paste.stop + halo)
