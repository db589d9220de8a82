from io import BytesIO

import numpy as np
from PIL import Image

from pssr.pictures import Panel, grey, row_of


def picture(panels, **how) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(row_of(panels, low=0, high=100, **how))))


def test_grey_clips_and_lifts_the_dim():
    shown = grey(np.array([[-5, 0, 50, 100, 400]], np.int16), 0, 100, gamma=1.0)
    assert shown.tolist() == [[0, 0, 128, 255, 255]]
    assert grey(np.array([[50.0]]), 0, 100)[0, 0] > 128


def test_panels_of_one_field_have_one_size_and_square_pixels():
    low = np.array([[0, 100], [100, 0]], np.uint16)
    image = picture([Panel("low", low), Panel("high", low.repeat(8, 0).repeat(8, 1))], side_px=64)
    h, w, _ = image.shape
    left, right = image[h - 6 - 64 : h - 6, 6:70], image[h - 6 - 64 : h - 6, 76:140]
    np.testing.assert_array_equal(left, right)
    assert set(np.unique(left)) == {0, 255}
    assert w == 3 * 6 + 2 * 64


def test_the_scale_bar_is_as_long_as_it_says():
    """A bar of 1 um at 0.05 um a pixel, each pixel shown as 4: 80 pixels."""
    plane = np.zeros((64, 64), np.uint8)
    without = picture([Panel("truth", plane)], side_px=256)
    image = picture([Panel("truth", plane)], side_px=256, pixel_size_um=0.05)
    changed = np.argwhere((image != without).any(-1))
    rows = image[changed[:, 0].max() - 2, :, 0]
    assert 80 <= (rows > 200).sum() <= 82


def test_an_unknown_pixel_size_draws_no_bar():
    plane = np.zeros((8, 8), np.uint8)
    assert row_of([Panel("a", plane)], low=0, high=1) == row_of(
        [Panel("a", plane)], low=0, high=1, pixel_size_um=None
    )
    assert picture([Panel("", plane)])[40:400, 10:380].max() == 0
