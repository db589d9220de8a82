import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pssr.predict.tiles import Box, even_side, grown, tiles

SIDES = st.integers(1, 60)
WORDS = {
    "side": st.integers(1, 40),
    "halo": st.integers(0, 20),
    "multiple": st.sampled_from([1, 2, 3, 4]),
    "scale": st.sampled_from([1, 2, 3]),
}


@st.composite
def fields(draw: st.DrawFn, shape: tuple[int, int]) -> Box:
    """Rows and columns inside a frame, at least one of each."""
    starts = [draw(st.integers(0, length - 1)) for length in shape]
    rows, columns = (
        slice(start, draw(st.integers(start + 1, length)))
        for start, length in zip(starts, shape, strict=True)
    )
    return rows, columns


def enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    return frame.repeat(scale, 0).repeat(scale, 1)


def part(field: Box, scale: int) -> Box:
    """Where a low-resolution field lies in the restored frame."""
    rows, columns = (slice(s.start * scale, s.stop * scale) for s in field)
    return rows, columns


@given(SIDES, SIDES, st.fixed_dictionaries(WORDS))
def test_tiles_cover_every_pixel_once(height, width, words):
    height, width, scale = height * words["multiple"], width * words["multiple"], words["scale"]
    covered = np.zeros((height * scale, width * scale), int)
    for tile in tiles(height, width, **words):
        covered[tile.paste] += 1
    assert (covered == 1).all()


@given(st.data(), SIDES, SIDES, st.fixed_dictionaries(WORDS))
def test_tiles_of_a_field_cover_every_pixel_of_it_once(data, height, width, words):
    height, width, scale = height * words["multiple"], width * words["multiple"], words["scale"]
    field = data.draw(fields((height, width)))
    rows, columns = part(field, scale)
    covered = np.zeros((rows.stop - rows.start, columns.stop - columns.start), int)
    for tile in tiles(height, width, **words, field=field):
        covered[tile.paste] += 1
    assert (covered == 1).all()


@given(st.data(), SIDES, SIDES, st.fixed_dictionaries(WORDS))
def test_what_is_kept_of_a_tile_is_what_is_pasted(data, height, width, words):
    """Enlarging each tile by repetition and pasting what is kept gives that field of the enlarged frame."""
    multiple, scale = words["multiple"], words["scale"]
    height, width = height * multiple, width * multiple
    frame = np.arange(height * width).reshape(height, width)
    field = data.draw(st.none() | fields((height, width)))
    wanted = enlarged(frame, scale)[part(field, scale)] if field else enlarged(frame, scale)
    out = np.full(wanted.shape, -1)
    for tile in tiles(height, width, **words, field=field):
        read = frame[tile.read]
        assert all(s.start % multiple == 0 for s in tile.read)
        assert all(n % multiple == 0 for n in read.shape)
        out[tile.paste] = enlarged(read, scale)[tile.keep]
    np.testing.assert_array_equal(out, wanted)


@given(st.data(), SIDES, st.integers(1, 20), st.integers(0, 20))
def test_every_kept_pixel_has_its_halo_or_the_true_border(data, length, side, halo):
    field = data.draw(fields((length, length)))
    for tile in tiles(length, length, side=side, halo=halo, multiple=1, scale=1, field=field):
        for wanted, read, paste in zip(field, tile.read, tile.paste, strict=True):
            assert read.start == max(0, wanted.start + paste.start - halo)
            assert read.stop == min(length, wanted.start + paste.stop + halo)


@given(SIDES, SIDES, st.fixed_dictionaries(WORDS))
def test_no_tile_is_larger_than_asked_for_and_its_halo(height, width, words):
    multiple, halo = words["multiple"], words["halo"]
    most = max(words["side"], multiple) + 2 * (halo + multiple - 1)
    for tile in tiles(height * multiple, width * multiple, **words):
        assert all(s.stop - s.start <= most for s in tile.read)


@given(st.data(), SIDES, SIDES, st.integers(0, 20), st.sampled_from([1, 2, 3, 4]))
def test_a_grown_field_holds_the_field_and_its_halo_on_the_grid(data, height, width, halo, multiple):
    field = data.draw(fields((height, width)))
    for wanted, read, length in zip(
        field, grown(field, (height, width), halo, multiple), (height, width), strict=True
    ):
        assert 0 <= read.start <= max(0, wanted.start - halo)
        assert min(length, wanted.stop + halo) <= read.stop <= length
        assert read.start % multiple == 0
        assert read.stop % multiple == 0 or read.stop == length
        assert read.stop - read.start <= wanted.stop - wanted.start + 2 * (halo + multiple - 1)


@given(st.data(), SIDES, SIDES, st.fixed_dictionaries(WORDS))
def test_a_grown_field_is_all_that_the_tiles_of_the_field_read(data, height, width, words):
    height, width = height * words["multiple"], width * words["multiple"]
    field = data.draw(fields((height, width)))
    rows, columns = grown(field, (height, width), words["halo"], words["multiple"])
    read = [tile.read for tile in tiles(height, width, **words, field=field)]
    assert (min(y.start for y, _ in read), max(y.stop for y, _ in read)) == (rows.start, rows.stop)
    assert (min(x.start for _, x in read), max(x.stop for _, x in read)) == (columns.start, columns.stop)


@given(st.integers(1, 5000), st.integers(-3, 600))
def test_sides_are_as_even_as_can_be_with_no_tile_more(length, most):
    side = even_side(length, most)
    fewest = -(-length // max(most, 1))
    assert 1 <= side <= max(most, 1)
    assert -(-length // side) == fewest
    # One pixel less would need another tile.
    assert side == 1 or -(-length // (side - 1)) > fewest
