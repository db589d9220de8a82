import contextlib
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from handmade import handmade_tiff, page

from pssr.errors import ReadError
from pssr.io.open import open_stack

RNG = np.random.default_rng(0)


def counts(*shape: int, dtype: str = "u2") -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, np.dtype(dtype))


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{root}><Image ID="Image:0"><Pixels ID="Pixels:0" '
    'DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="12" SizeZ="1" SizeC="1" SizeT="{frames}">'
    '<Channel ID="Channel:0:0"/>{inside}</Pixels></Image></OME>'
)


def ome(frames: int, inside: str, root: str = "") -> tuple[int, int, bytes]:
    words = OME.format(frames=frames, inside=inside, root=root).encode() + b"\0"
    return 2, len(words), words


def test_ome_counts_pages_as_they_lie_in_the_file(tmp_path: Path):
    """A reduced copy between the pages is one of them, though it is never a plane."""
    full, small = counts(3, 12, 16), counts(6, 8)
    said = ome(2, '<TiffData FirstT="0" IFD="0"/><TiffData FirstT="1" IFD="2"/>')
    pages = [(full[0].tobytes(), page(t270=said)), (small.tobytes(), page(6, 8, t254=(4, 1, 1)))]
    pages += [(plane.tobytes(), page()) for plane in full[1:]]
    stack = open_stack(handmade_tiff(tmp_path / "a.ome.tif", pages))
    np.testing.assert_array_equal([stack.plane(T=t) for t in range(2)], full[:2])
    wrong = ome(2, '<TiffData FirstT="0" IFD="0"/><TiffData FirstT="1" IFD="1"/>')
    pages[0] = (full[0].tobytes(), page(t270=wrong))
    with pytest.raises(ReadError, match="has no page 1 of full size"):
        open_stack(handmade_tiff(tmp_path / "a.ome.tif", pages))


def several_files(folder: Path, full: np.ndarray, *, second: str = "urn:uuid:b") -> Path:
    """Two OME-TIFF files of half of the planes each, a block without numbers for each."""
    half = len(full) // 2
    files = (("m0.ome.tif", "urn:uuid:a", 0), ("m1.ome.tif", "urn:uuid:b", half))
    inside = "".join(
        f'<TiffData FirstT="{first}"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for name, uuid, first in files
    )
    for (name, _, first), uuid in zip(files, ("urn:uuid:a", second), strict=True):
        said = ome(len(full), inside, f' UUID="{uuid}"')
        pages = [
            (plane.tobytes(), page(**({"t270": said} if k == 0 else {})))
            for k, plane in enumerate(full[first : first + half])
        ]
        handmade_tiff(folder / name, pages)
    return folder / "m0.ome.tif"


def test_a_block_without_numbers_places_all_pages_of_its_file(tmp_path: Path):
    full = counts(6, 12, 16)
    stack = open_stack(several_files(tmp_path, full))
    np.testing.assert_array_equal([stack.plane(T=t) for t in range(6)], full)
    assert stack.companions == (tmp_path / "m1.ome.tif",)


def test_another_file_of_the_same_name_is_not_taken(tmp_path: Path):
    path = several_files(tmp_path, counts(6, 12, 16), second="urn:uuid:of-another-stack")
    with pytest.raises(ReadError, match="m1.ome.tif: is another file than the stack's of that name"):
        open_stack(path)


def test_a_description_in_a_file_beside_is_read(tmp_path: Path):
    full = counts(2, 12, 16)
    only = b'<OME UUID="urn:uuid:a"><BinaryOnly MetadataFile="all.companion.ome" UUID="urn:uuid:c"/></OME>\0'
    pages = [
        (plane.tobytes(), page(**({"t270": (2, len(only), only)} if k == 0 else {})))
        for k, plane in enumerate(full)
    ]
    handmade_tiff(tmp_path / "a.ome.tif", pages)
    with pytest.raises(ReadError, match=r"is described by 'all.companion.ome', which is not here"):
        open_stack(tmp_path / "a.ome.tif")
    inside = '<TiffData IFD="0" PlaneCount="2"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>'
    (tmp_path / "all.companion.ome").write_bytes(ome(2, inside)[2].rstrip(b"\0"))
    stack = open_stack(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal([stack.plane(T=t) for t in range(2)], full)


def test_a_description_in_another_folder_is_not_read(tmp_path: Path):
    only = b'<OME><BinaryOnly MetadataFile="../secret.ome"/></OME>\0'
    path = handmade_tiff(
        tmp_path / "a.ome.tif", [(counts(12, 16).tobytes(), page(t270=(2, len(only), only)))]
    )
    with pytest.raises(ReadError, match="names a file in another folder"):
        open_stack(path)


def test_all_planes_behind_a_single_page_of_tifffile_are_read(tmp_path: Path):
    full = counts(5, 12, 16)
    tifffile.imwrite(tmp_path / "a.tif", full, photometric="minisblack", truncate=True)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal([stack.plane(T=t) for t in range(5)], full)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(content[:-400])
    with pytest.raises(ReadError, match=r"b\.tif: (announces 5 planes and holds|has pixels beyond|is cut)"):
        open_stack(tmp_path / "b.tif")


def test_fewer_pages_than_the_description_says_are_refused(tmp_path: Path):
    said = b'{"shape": [9, 12, 16]}\0'
    pages = [
        (counts(12, 16).tobytes(), page(**({"t270": (2, len(said), said)} if k == 0 else {})))
        for k in range(4)
    ]
    with pytest.raises(ReadError, match="announces 9 planes and holds 4 pages"):
        open_stack(handmade_tiff(tmp_path / "a.tif", pages))


def test_stacks_one_after_the_other_are_not_one(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for _ in range(2):
            tif.write(counts(5, 12, 16), photometric="minisblack", contiguous=False)
    with pytest.raises(ReadError, match="holds 2 stacks one after the other"):
        open_stack(tmp_path / "a.tif")


def test_a_page_that_does_not_say_what_zero_is_is_taken_as_it_is(tmp_path: Path):
    pixels, tags = counts(12, 16), page()
    del tags[262]
    stack = open_stack(handmade_tiff(tmp_path / "a.tif", [(pixels.tobytes(), tags)]))
    np.testing.assert_array_equal(stack.plane(), pixels)


@pytest.mark.parametrize("at", [1, 4])
def test_the_head_of_the_file_is_never_pixels(tmp_path: Path, at):
    path = handmade_tiff(tmp_path / "a.tif", [(counts(12, 16).tobytes(), page(t273=(4, 1, at)))])
    with pytest.raises(ReadError, match="page 0 lacks a part of its pixels"):
        open_stack(path)


def test_pixels_that_lie_on_others_are_refused(tmp_path: Path):
    data = counts(12, 16).tobytes()
    pages = [(data, page()), (data, page(t273=(4, 1, 8 + 100)))]
    with pytest.raises(ReadError, match=r"the pixels at byte \d+ lie on others"):
        open_stack(handmade_tiff(tmp_path / "a.tif", pages))
    shared = [(data, page()), (b"", page(t273=(4, 1, 8), t279=(4, 1, len(data))))]
    stack = open_stack(handmade_tiff(tmp_path / "b.tif", shared))
    np.testing.assert_array_equal(stack.plane(T=0), stack.plane(T=1))


def test_more_bytes_than_uncompressed_pixels_need_are_another_compression(tmp_path: Path):
    path = handmade_tiff(tmp_path / "a.tif", [(counts(24, 16).tobytes(), page())])
    with pytest.raises(ReadError, match="page 0 has 768 bytes of pixels, not 384"):
        open_stack(path)


@pytest.mark.parametrize(
    ("number", "encode"), [(7, imagecodecs.jpeg8_encode), (34712, imagecodecs.jpeg2k_encode)]
)
def test_a_picture_of_another_size_inside_a_page_is_refused(tmp_path: Path, number, encode):
    right, large = (bytes(encode(counts(n, 16, dtype="u1"))) for n in (12, 400))
    tags = page(bits=8, t259=(3, 1, number))
    assert open_stack(handmade_tiff(tmp_path / "a.tif", [(right, tags)])).plane().shape == (12, 16)
    with pytest.raises(ReadError, match=r"page 0 has a JPEG( 2000)? of 400 x 16 px in it"):
        open_stack(handmade_tiff(tmp_path / "b.tif", [(large, tags)]))


def test_a_cut_jpeg_inside_a_page_is_refused(tmp_path: Path):
    data = bytes(imagecodecs.jpeg8_encode(counts(12, 16, dtype="u1")))
    path = handmade_tiff(tmp_path / "a.tif", [(data[: len(data) // 2], page(bits=8, t259=(3, 1, 7)))])
    with pytest.raises(ReadError, match=r"page 0 has a damaged JPEG in it"):
        open_stack(path)


def test_a_compression_that_is_not_read_is_named(tmp_path: Path):
    path = handmade_tiff(tmp_path / "a.tif", [(b"\0" * 50, page(bits=8, t259=(3, 1, 50002)))])
    with pytest.raises(ReadError, match=r"page 0 is compressed as JPEGXL; save it with deflate"):
        open_stack(path)


def test_many_pages_that_share_one_long_table_are_refused(tmp_path: Path):
    """Each page would hold all of it in memory."""
    table = struct.pack("<I", 8) * 20_000
    first = page(
        20_000, 1, 8, t273=(4, 20_000, table), t279=(4, 20_000, struct.pack("<I", 1) * 20_000), t278=(4, 1, 1)
    )
    path = handmade_tiff(tmp_path / "a.tif", [(b"\1" * 1000, first)])
    body = bytearray(path.read_bytes())
    (at,) = struct.unpack_from("<I", body, 4)
    (entries,) = struct.unpack_from("<H", body, at)
    directory = bytes(body[at : at + 2 + 12 * entries])
    link = at + 2 + 12 * entries
    for _ in range(200):
        struct.pack_into("<I", body, link, len(body))
        body += directory + b"\0\0\0\0"
        link = len(body) - 4
    path.write_bytes(body)
    with pytest.raises(ReadError, match="announces more parts of pages than it has bytes"):
        open_stack(path)


@pytest.mark.parametrize("big", [False, True])
def test_any_changed_byte_of_the_structure_is_an_error_or_harmless(tmp_path: Path, big):
    """Every byte of the head and the first directory, one after the other: never anything but ReadError."""
    tifffile.imwrite(tmp_path / "a.tif", counts(2, 12, 16), photometric="minisblack", bigtiff=big)
    content = (tmp_path / "a.tif").read_bytes()
    for at in range(2, 260):
        for value in (0, 255, content[at] ^ 1):
            (tmp_path / "b.tif").write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
            with contextlib.suppress(ReadError):
                open_stack(tmp_path / "b.tif").plane()


@pytest.mark.parametrize("own", [0, 1])
def test_a_scene_in_a_file_of_its_own_is_read_from_there(tmp_path: Path, own):
    full, names = counts(2, 12, 16), ("left", "right")
    image = (
        '<Image ID="Image:{k}" Name="{name}"><Pixels ID="Pixels:{k}" DimensionOrder="XYZCT" Type="uint16" SizeX="16" '
        'SizeY="12" SizeZ="1" SizeC="1" SizeT="1"><Channel ID="Channel:{k}:0"/><TiffData IFD="0">'
        '<UUID FileName="{name}.ome.tif">urn:uuid:{k}</UUID></TiffData></Pixels></Image>'
    )
    images = "".join(image.format(k=k, name=name) for k, name in enumerate(names))
    for k, name in enumerate(names):
        said = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{k}">{images}</OME>\0'
        tags = page(t270=(2, len(said), said.encode()))
        handmade_tiff(tmp_path / f"{name}.ome.tif", [(full[k].tobytes(), tags)])
    path, other = (tmp_path / f"{names[k]}.ome.tif" for k in (own, 1 - own))
    np.testing.assert_array_equal([open_stack(path, scene=name).plane() for name in names], full)
    other.unlink()
    np.testing.assert_array_equal(open_stack(path, scene=names[own]).plane(), full[own])
    with pytest.raises(ReadError, match=rf"none of the planes .* files that are not here \({other.name}\)"):
        open_stack(path, scene=names[1 - own])


def test_colours_in_pages_of_which_the_ome_xml_says_nothing_are_its_channels(tmp_path: Path):
    full, said = counts(2, 12, 16, 3), ome(2, "")
    words = said[2].replace(b'SizeC="1"', b'SizeC="3"')
    tags = [page(t262=(3, 1, 2), t277=(3, 1, 3), t258=(3, 3, b"\x10\0" * 3)) for _ in full]
    tags[0][270] = (2, len(words), words)
    pages = [(pixels.tobytes(), each) for pixels, each in zip(full, tags, strict=True)]
    stack = open_stack(handmade_tiff(tmp_path / "a.ome.tif", pages))
    assert (stack.sizes["T"], stack.channels) == (2, ("red", "green", "blue"))
    read = [[stack.plane(T=t, C=c) for c in range(3)] for t in range(2)]
    np.testing.assert_array_equal(np.moveaxis(read, 1, -1), full)


@pytest.mark.parametrize("how", [{"rowsperstrip": 16}, {"tile": (16, 16)}])
def test_several_parts_at_one_place_are_refused_where_they_are_not_compressed(tmp_path: Path, how):
    path, pixels = tmp_path / "a.tif", np.tile(counts(16, 16), (2, 2))
    for compression, right in ((None, False), ("zlib", True)):
        tifffile.imwrite(path, pixels, photometric="minisblack", compression=compression, **how)
        with tifffile.TiffFile(path, mode="r+b") as tif:
            places = tif.pages[0].tags["TileOffsets" if "tile" in how else "StripOffsets"]
            places.overwrite((places.value[0],) * len(places.value))
        if right:
            np.testing.assert_array_equal(open_stack(path).plane(), pixels)
            continue
        with pytest.raises(ReadError, match="page 0 has several parts at one place"):
            open_stack(path)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd"])
def test_a_page_that_is_stored_as_differences_unlike_the_others_is_refused(tmp_path: Path, compression):
    path, full = tmp_path / "a.tif", counts(3, 12, 16)
    with tifffile.TiffWriter(path) as tif:
        for plane in full:
            tif.write(plane, photometric="minisblack", metadata=None, compression=compression, predictor=True)
    np.testing.assert_array_equal([open_stack(path).plane(T=t) for t in range(3)], full)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages.get(1).tags["Predictor"].overwrite(1)
    with pytest.raises(ReadError, match=r"only some of its pages .* as differences \(predictors \[1, 2\]\)"):
        open_stack(path)


def test_pages_of_several_compressions_are_each_read_as_they_are(tmp_path: Path):
    full = counts(3, 12, 16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for plane, how in zip(
            full, ({}, {"compression": "lzw", "predictor": True}, {"compression": "zlib"}), strict=True
        ):
            tif.write(plane, photometric="minisblack", metadata=None, **how)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal([stack.plane(T=t) for t in range(3)], full)
