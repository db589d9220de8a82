import bz2
import gzip
import lzma
import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import imagecodecs
import numcodecs
import numpy as np
import pytest
import zarr

from pssr.errors import ReadError
from pssr.io.open import open_stack
from pssr.io.zarr_bound import unpacked
from pssr.io.zarr_check import LARGEST_METADATA_BYTES, most_bytes

PLANES = np.random.default_rng(0).integers(0, 999, (2, 64, 64), np.uint16)
LIMIT = most_bytes(PLANES[0].nbytes)
BOMB_BYTES = 512_000_000
GZIP_3 = {"name": "gzip", "configuration": {"level": 1}}
ABOVE_IMPORT = """
import sys
from pssr.errors import ReadError
from pssr.io.open import open_stack
import pssr.io.zarr_bound

def peak():
    return int(next(line for line in open("/proc/self/status") if "VmHWM" in line).split()[1])

before, said = peak(), ""
try:
    open_stack(sys.argv[1]).plane(T=1)
except ReadError as error:
    said = str(error)
print((peak() - before) // 1024, said)
"""


def made(path: Path, version: int, **how) -> Path:
    """Two planes, each a chunk."""
    group = zarr.create_group(store=path, zarr_format=version)
    about = {"multiscales": [{"axes": [{"name": n} for n in "tyx"], "datasets": [{"path": "0"}]}]}
    group.attrs.update(about if version == 2 else {"ome": {"version": "0.5", **about}})
    array = group.create_array("0", shape=PLANES.shape, dtype="u2", **{"chunks": (1, 64, 64)} | how)
    array[:] = PLANES
    return path


def zipped(folder: Path, packed: int = zipfile.ZIP_STORED) -> Path:
    path = folder.with_suffix(".ozx")
    with zipfile.ZipFile(path, "w", packed, compresslevel=1) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, str(file.relative_to(folder)))
    return path


def grown(path: Path) -> tuple[int, str]:
    """Megabytes above the import, and what is said."""
    found = subprocess.run(
        [sys.executable, "-c", ABOVE_IMPORT, str(path)], capture_output=True, text=True, check=True
    )
    above, said = found.stdout.split(" ", 1)
    return int(above), said


def zeros(how: str) -> bytes:
    """Half a gigabyte of zeros in few bytes."""
    if how == "zstd":
        return numcodecs.Zstd(level=1).encode(bytes(BOMB_BYTES))
    if how == "zstd of many frames":
        return imagecodecs.zstd_encode(bytes(LIMIT)) * (BOMB_BYTES // LIMIT)
    if how == "blosc":
        return numcodecs.Blosc(cname="zstd").encode(bytes(BOMB_BYTES))
    return gzip.compress(bytes(BOMB_BYTES), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "how"),
    [(3, "gzip"), (2, "gzip"), (3, "zstd"), (3, "zstd of many frames"), (3, "blosc"), (2, "blosc")],
)
def test_a_chunk_that_unpacks_to_half_a_gigabyte_is_refused_in_little_memory(tmp_path: Path, version, how):
    name = how.split()[0]
    older = {"gzip": numcodecs.GZip, "zstd": numcodecs.Zstd, "blosc": numcodecs.Blosc}[name]()
    compressor = older if version == 2 else {"name": name, "configuration": {}}
    if version == 3 and name == "blosc":
        compressor = zarr.codecs.BloscCodec(cname="zstd")
    path = made(tmp_path / "a.zarr", version, compressors=compressor)
    (path / ("0/1.0.0" if version == 2 else "0/c/1/0/0")).write_bytes(zeros(how))
    above, said = grown(path)
    assert "a.zarr: T 1, C 0, Z 0 cannot be read (a chunk" in said
    assert above < 150


@pytest.mark.slow
def test_an_entry_of_a_zip_file_that_unpacks_to_half_a_gigabyte_is_refused_in_little_memory(tmp_path: Path):
    path = made(tmp_path / "a.zarr", 3, compressors=None)
    with (path / "0/c/1/0/0").open("wb") as file:
        file.truncate(BOMB_BYTES)
    above, said = grown(zipped(path, zipfile.ZIP_DEFLATED))
    assert f"0/c/1/0/0 has {BOMB_BYTES} bytes and its chunk needs at most" in said
    assert above < 150


@pytest.mark.parametrize("name", [".zattrs", "zarr.json"])
def test_metadata_that_unpack_to_far_too_much_are_refused(tmp_path: Path, name):
    path = made(tmp_path / "a.zarr", 3)
    with (path / "0" / name).open("ab") as file:
        file.truncate(LARGEST_METADATA_BYTES + 1)
    with pytest.raises(ReadError, match=rf"0/{name} has {LARGEST_METADATA_BYTES + 1} bytes of metadata"):
        open_stack(zipped(path, zipfile.ZIP_DEFLATED))


def test_a_bomb_within_a_shard_is_refused(tmp_path: Path):
    path = made(tmp_path / "a.zarr", 3, chunks=(1, 32, 32), shards=(1, 64, 64), compressors=GZIP_3)
    file = path / "0/c/1/0/0"
    index = np.full((4, 2), 2**64 - 1, "<u8")
    bomb = gzip.compress(bytes(10_000_000))
    index[0] = 0, len(bomb)
    checked = index.tobytes()
    file.write_bytes(bomb + checked + bytes(numcodecs.CRC32C().encode(checked))[-4:])
    with pytest.raises(ReadError, match="a chunk unpacks to more than the 69632 bytes"):
        open_stack(path).plane(T=1)


@pytest.mark.parametrize(
    ("version", "compressor"),
    [
        (2, numcodecs.Zstd()),
        (2, numcodecs.GZip()),
        (2, numcodecs.Zlib()),
        (2, numcodecs.BZ2()),
        (2, numcodecs.LZMA()),
        (2, numcodecs.LZMA(format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 1}])),
        (2, numcodecs.LZ4()),
        (2, numcodecs.Blosc()),
        (2, None),
        (3, GZIP_3),
        (3, zarr.codecs.ZstdCodec(checksum=True)),
        (3, zarr.codecs.BloscCodec()),
        (3, [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]),
        (3, None),
    ],
)
@pytest.mark.parametrize("zip_file", [False, True])
def test_whatever_packs_the_chunks_the_pixels_are_read(tmp_path: Path, version, compressor, zip_file):
    path = made(tmp_path / "a.zarr", version, compressors=compressor)
    stack = open_stack(zipped(path) if zip_file else path)
    np.testing.assert_array_equal(np.stack(list(stack.movie())), PLANES)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not")
@pytest.mark.parametrize("name", ["numcodecs.zlib", "numcodecs.lz4", "numcodecs.bz2"])
def test_codecs_of_numcodecs_in_the_newer_format_are_read(tmp_path: Path, name):
    path = made(tmp_path / "a.zarr", 3, compressors={"name": name, "configuration": {}})
    np.testing.assert_array_equal(open_stack(path).plane(T=1), PLANES[1])


def test_noise_in_small_shards_of_a_zip_file_is_read(tmp_path: Path):
    path = made(tmp_path / "a.zarr", 3, chunks=(1, 4, 4), shards=(1, 64, 64), compressors=GZIP_3)
    np.testing.assert_array_equal(open_stack(zipped(path)).plane(T=1), PLANES[1])


def test_filters_of_the_older_format_are_read(tmp_path: Path):
    path = made(tmp_path / "a.zarr", 2, filters=[numcodecs.Delta(dtype="u2")], compressors=numcodecs.Zlib())
    np.testing.assert_array_equal(open_stack(path).plane(T=1), PLANES[1])


PACK = {"gzip": gzip.compress, "zlib": zlib.compress, "bz2": bz2.compress, "lzma": lzma.compress}


@pytest.mark.parametrize("name", [*PACK, "zstd"])
def test_the_limit_is_the_last_size_that_is_unpacked(name):
    pack = PACK.get(name, lambda data: imagecodecs.zstd_encode(data))
    data = os.urandom(10_000)
    assert unpacked(name, {}, pack(data), 10_000) == data
    with pytest.raises(ValueError, match="a chunk .* the 9999 bytes that it can need"):
        unpacked(name, {}, pack(data), 9_999)


@pytest.mark.parametrize("name", PACK)
def test_a_cut_stream_is_an_error(name):
    with pytest.raises(ValueError, match="is cut"):
        unpacked(name, {}, PACK[name](os.urandom(10_000))[:-9], 20_000)


def test_several_streams_of_gzip_are_one_chunk():
    packed = gzip.compress(b"one") + gzip.compress(b"two") + bytes(9)
    assert unpacked("gzip", {}, packed, 6) == b"onetwo"
    with pytest.raises(ValueError, match="more than the 5 bytes"):
        unpacked("gzip", {}, packed, 5)
