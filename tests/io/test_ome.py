import itertools
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
