"""Sizes that JPEG, JPEG 2000 and PNG pictures announce, read before they are decoded.

Formats: ITU-T T.81 (JPEG), T.800 (JPEG 2000) and the PNG specification.
"""

import struct

NAMES = {
    7: "JPEG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34933: "PNG",
}  # by TIFF's number
JPEG_START, JPEG_END, J2K_START, PNG_START = (
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\x4f\xff\x51",
    b"\x89PNG\r\n\x1a\n",
)
FRAMES = {
    0xC0,
    0xC1,
    0xC2,
    0xC3,
    0xC5,
    0xC6,
    0xC7,
    0xC9,
    0xCA,
    0xCB,
    0xCD,
    0xCE,
    0xCF,
}  # markers of a JPEG's size
BARE = {0x01, *range(0xD0, 0xD9)}  # markers without content


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns of a picture; None where it is damaged, cut, or of another kind.

    Args:
        data: the whole picture, which may be followed by zeros.
    """
    try:
        if data.startswith(JPEG_START):
            # A JPEG that is cut is decoded to the cut, and grey below it.
            return _of_jpeg(data) if data.rstrip(b"\0").endswith(JPEG_END) else None
        if data.startswith(PNG_START):
            wide, high = struct.unpack_from(">II", data, 16)
            return high, wide
        at = data.find(J2K_START, 0, 4096)
        if at >= 0:
            right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
            return bottom - top, right - left
    except (struct.error, IndexError):
        return None
    return None


def _of_jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in BARE:
            at += 2
        elif marker in FRAMES:
            high, wide = struct.unpack_from(">HH", data, at + 5)
            return high, wide
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + length
    return None
