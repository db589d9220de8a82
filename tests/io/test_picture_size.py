import imagecodecs
import numpy as np
import pytest

from pssr.io.picture_size import picture_size

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 47), np.uint8)
PICTURES = {
    "JPEG": bytes(imagecodecs.jpeg8_encode(PIXELS)),
    "JPEG 2000": bytes(imagecodecs.jpeg2k_encode(PIXELS, level=0)),
    "bare JPEG 2000": bytes(imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="j2k")),
    "PNG": bytes(imagecodecs.png_encode(PIXELS)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_the_size_is_read_from_the_head(kind):
    assert picture_size(PICTURES[kind]) == (30, 47)
    assert picture_size(PICTURES[kind] + b"\0\0") == (30, 47)


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("kept", [0, 3, 10, 20])
def test_a_picture_cut_within_its_head_has_none(kind, kept):
    assert picture_size(PICTURES[kind][:kept]) is None


def test_a_jpeg_that_is_cut_anywhere_has_none():
    for kept in range(0, len(PICTURES["JPEG"]), 37):
        assert picture_size(PICTURES["JPEG"][:kept]) is None


def test_anything_else_has_none():
    assert picture_size(b"\xff\xd8\xff\xd9") is None
    assert picture_size(b"GIF89a") is None
