from pathlib import Path

from pssr.io.tiff_meaning import of_imagej, of_pages

A = Path("a.tif")


def test_imagej_orders_channels_fastest():
    said = {"images": 12, "channels": 2, "slices": 3, "frames": 2}
    assert of_imagej(A, said, 12, None, None).pages == (0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11)


def test_imagej_that_does_not_say_what_its_planes_are():
    meaning = of_imagej(A, {"images": 5}, 5, None, None)
    assert meaning.count["T"] == 5
    assert "taken as time points" in meaning.notes[0]


def test_a_single_page_needs_no_note():
    assert of_pages(A, "", 1, None).notes == ()
    assert of_pages(A, "", 1, "TYX").count == {"T": 1, "C": 1, "Z": 1}
