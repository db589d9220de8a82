import itertools
import time
from pathlib import Path

import pytest

from pssr.errors import ReadError
from pssr.io.ome import of_ome

A = Path("a.tif")


def ome(pixels: str, inside: str = "") -> str:
    return f'<OME xmlns="http://x" UUID="urn:1"><Image ID="Image:0"><Pixels SizeX="8" SizeY="6" {pixels}>{inside}</Pixels></Image></OME>'


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.permutations("TCZ")])
def test_planes_lie_in_the_order_that_ome_says(order):
    count = {"T": 3, "C": 2, "Z": 4}
    sizes = " ".join(f'Size{axis}="{n}"' for axis, n in count.items())
    meaning = of_ome(A, ome(f'DimensionOrder="XY{order}" {sizes}', "<TiffData/>"), 24, None)
    stride = dict(zip(order, (1, count[order[0]], count[order[0]] * count[order[1]]), strict=True))
    expected = [
        t * stride["T"] + c * stride["C"] + z * stride["Z"]
        for t, c, z in itertools.product(range(3), range(2), range(4))
    ]
    assert list(meaning.pages) == expected


@pytest.mark.parametrize(
    ("unit", "um"), [("nm", 0.05), ("µm", 50), ("\u03bcm", 50), ("mm", 50_000), ("Å", 0.005), ("pixel", None)]
)
def test_units_of_length(unit, um):
    text = (
        f'DimensionOrder="XYZCT" SizeT="1" SizeC="1" SizeZ="1" PhysicalSizeX="50" PhysicalSizeXUnit="{unit}"'
    )
    assert of_ome(A, ome(text), 1, None).spacing_um == pytest.approx({} if um is None else {"X": um})


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "x"])
def test_strange_sizes_are_unknown(size):
    text = (
        f'DimensionOrder="XYZCT" SizeT="1" SizeC="1" SizeZ="1" PhysicalSizeX="{size}" TimeIncrement="{size}"'
    )
    meaning = of_ome(A, ome(text), 1, None)
    assert (meaning.spacing_um, meaning.interval_s) == ({}, None)


@pytest.mark.parametrize(
    ("sizes", "inside", "message"),
    [
        (
            'SizeT="2" SizeC="1" SizeZ="1"',
            '<TiffData IFD="0"/><TiffData IFD="0" FirstT="1"/>',
            "the same page",
        ),
        ('SizeT="2" SizeC="1" SizeZ="1"', '<TiffData IFD="0" FirstT="7"/>', "outside the stack"),
        ('SizeT="999999999" SizeC="1" SizeZ="1"', "<TiffData/>", "announces 999999999 planes"),
        ('SizeT="-2" SizeC="1" SizeZ="1"', "", "announces -2 planes along T"),
    ],
)
def test_ome_that_does_not_fit_the_file(sizes, inside, message):
    with pytest.raises(ReadError, match=message):
        of_ome(A, ome(f'DimensionOrder="XYZCT" {sizes}', inside), 2, None)


def test_planes_that_are_nowhere_are_known():
    sizes = 'SizeT="3" SizeC="1" SizeZ="1"'
    meaning = of_ome(A, ome(f'DimensionOrder="XYZCT" {sizes}', '<TiffData IFD="1"/>'), 2, None)
    assert (meaning.pages, meaning.missing) == ((1, -1, -1), ((1, 0, 0), (2, 0, 0)))


def test_entities_are_not_expanded():
    bomb = '<!DOCTYPE OME [<!ENTITY a "aaaaaaaaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
    text = ome('DimensionOrder="XYZCT" SizeT="1" SizeC="1" SizeZ="1"', '<Channel Name="&b;"/>')
    with pytest.raises(ReadError, match="OME-XML is damaged") as error:
        of_ome(A, bomb + text, 1, None)
    assert "root:" not in str(error.value)


@pytest.mark.parametrize(
    "inside",
    [
        '<TiffData IFD="0" PlaneCount="2"/><TiffData IFD="2" FirstT="1"/>',
        '<TiffData IFD="0"/><TiffData IFD="0"/>',
    ],
)
def test_a_plane_announced_twice_is_refused(inside):
    with pytest.raises(ReadError, match=r"a\.tif: its OME-XML announces a plane twice"):
        of_ome(A, ome('DimensionOrder="XYZCT" SizeT="4" SizeC="1" SizeZ="1"', inside), 4, None)


def test_blocks_of_a_million_planes_each_end_soon():
    sizes = 'DimensionOrder="XYZCT" SizeT="1000000" SizeC="1" SizeZ="1"'
    start = time.perf_counter()
    with pytest.raises(ReadError, match="announces a plane twice"):
        of_ome(A, ome(sizes, '<TiffData IFD="0" PlaneCount="1000000"/>' * 20), 2, None)
    assert time.perf_counter() - start < 4


def one_file_each(*scenes: str, own: int) -> str:
    """What a set of files with a scene in each says of itself, in one of them."""
    images = "".join(
        f'<Image ID="Image:{k}" Name="{name}"><Pixels DimensionOrder="XYZCT" SizeX="8" SizeY="6" SizeT="1" SizeC="1" '
        f'SizeZ="1"><TiffData IFD="0"><UUID FileName="{name}.ome.tif">urn:{k}</UUID></TiffData></Pixels></Image>'
        for k, name in enumerate(scenes)
    )
    return f'<OME xmlns="http://x" UUID="urn:{own}">{images}</OME>'


@pytest.mark.parametrize("own", [0, 1])
def test_a_scene_is_in_the_file_that_has_its_identifier(tmp_path: Path, own):
    names = ("left", "right")
    (tmp_path / f"{names[1 - own]}.ome.tif").touch()
    path = tmp_path / "renamed.ome.tif"
    mine, other = (of_ome(path, one_file_each(*names, own=own), 1, names[k]) for k in (own, 1 - own))
    assert (mine.homes, mine.pages) == ((), (0,))
    assert (other.homes, other.pages) == ((f"{names[1 - own]}.ome.tif",), (0,))


def test_a_single_file_that_was_saved_under_another_identifier_is_itself():
    assert of_ome(A, one_file_each("left", own=7), 1, None).homes == ()


def test_a_scene_called_like_the_number_of_another():
    xml = one_file_each("1", "0", own=1)
    assert [of_ome(A, xml, 1, scene).scene for scene in ("0", "1", 0)] == ["0", "1", "0"]


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT"])
@pytest.mark.parametrize("channels", ["", '<Channel ID="Channel:0:0"/>'])
@pytest.mark.parametrize(
    "blocks", ["", '<TiffData IFD="0" PlaneCount="2"/>', '<TiffData IFD="0"/><TiffData FirstT="1" IFD="1"/>']
)
def test_channels_that_lie_inside_the_pages_though_the_xml_does_not_say_so(order, channels, blocks):
    xml = ome(f'DimensionOrder="{order}" SizeT="2" SizeC="3" SizeZ="1"', channels + blocks)
    meaning = of_ome(A, xml, 2, None, {0: 3, 1: 3})
    assert (dict(meaning.count), meaning.pages, meaning.missing) == ({"T": 2, "C": 1, "Z": 1}, (0, 1), ())
    # Grey pages of which some are gone, and as many pages as channels, are what they were.
    assert len(of_ome(A, xml, 2, None, {0: 1, 1: 1}).missing) == 4


def test_a_page_for_each_channel_is_believed_though_it_holds_three_samples():
    xml = ome('DimensionOrder="XYCZT" SizeT="2" SizeC="3" SizeZ="1"', "<TiffData/>")
    assert of_ome(A, xml, 6, None, dict.fromkeys(range(6), 3)).count["C"] == 3
