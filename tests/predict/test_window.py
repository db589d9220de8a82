import numpy as np
import pytest

from pssr.data.bundles import windows
from pssr.data.intensity import Intensity
from pssr.errors import ConfigError, ReadError
from pssr.predict.window import bundles_of


class Counted:
    """A movie that notes which frames were read."""

    def __init__(self, length: int) -> None:
        self.length, self.reads = length, []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, t: int) -> np.ndarray:
        self.reads.append(t)
        return np.full((4, 4), t, np.uint16)


@pytest.mark.parametrize("ends", ["reflect", "repeat", "drop"])
@pytest.mark.parametrize("frames", [1, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_every_bundle_holds_its_frames_and_each_frame_is_read_once(ends, frames, length):
    movie = Counted(length)
    expected = windows(length, frames, ends)
    if not expected:
        with pytest.raises(ConfigError, match=f"leaves no frame of a movie of {length}"):
            list(bundles_of(movie, Intensity(0, 1), frames=frames, ends=ends))
        return
    found = list(bundles_of(movie, Intensity(0, 1), frames=frames, ends=ends))
    assert [tuple(int(plane[0, 0]) for plane in bundle) for _, bundle in found] == expected
    assert [t for t, _ in found] == [w[frames // 2] for w in expected]
    assert sorted(movie.reads) == list(range(length))


def test_planes_come_on_the_scale_of_the_movie():
    _, bundle = next(bundles_of(Counted(3), Intensity(-1.0, 3.0), frames=1, ends="reflect"))
    assert (bundle == 0.25).all()
    assert bundle.dtype == np.float32


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_named_and_not_spread(wrong):
    movie = np.zeros((4, 5, 5), np.float32)
    movie[2, 1, 1:3] = wrong
    with pytest.raises(ReadError, match="movie: frame 2 has 2 pixels that are not numbers"):
        list(bundles_of(movie, Intensity(0, 1), frames=3, ends="reflect"))
