"""How the pixels of a TIFF page become grey planes: colours, transparency, inverted and indexed greys."""

from dataclasses import dataclass, replace

import numpy as np
from tifffile import TiffPage

from pssr.io.stack import RGB as COLOURS

WHITE_IS_ZERO, GREY, RGB, PALETTE = range(4)
YCBCR, JPEG = 6, 7
TRANSPARENT = (1, 2)  # of the tag ExtraSamples
PHOTOMETRIC = 262  # tag


def photometric_of(page: TiffPage) -> int:
    """What the page says of its values; one that does not say is grey, and what JPEG decodes to is red, green, blue.

    Zeiss calls pages of two channels colours as well.

    Args:
        page: as parsed.
    """
    if PHOTOMETRIC not in page.tags or page.photometric is None:
        return GREY
    photometric = int(page.photometric)
    if photometric == RGB and page.samplesperpixel < len(COLOURS):
        return GREY
    return RGB if photometric == YCBCR and int(page.compression) == JPEG else photometric


@dataclass(frozen=True)
class Kind:
    """How the pixels of a page become grey planes.

    Args:
        photometric: what the page says of its values.
        samples: stored for each pixel.
        shown: numbers of the samples that are planes: all but transparency, and one where all colours are equal.
    """

    photometric: int
    samples: int
    shown: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Planes that a page gives."""
        return len(self.shown)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels of one page; empty where it has only one."""
        if self.channels == 1:
            return ()
        colours = tuple(COLOURS) if self.photometric == RGB else ()
        return (*colours, *(f"channel {k}" for k in range(len(colours), self.channels)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        said = {
            RGB: "its colours are equal in every page looked at, and taken as grey",
            WHITE_IS_ZERO: "its pixels are stored inverted, and turned back",
            PALETTE: "its palette goes from black to one colour; the indices are taken as intensities",
        }
        opaque = len(COLOURS) if self._is_grey_in_colours else self.channels
        notes = ("its transparency is left out",) if opaque < self.samples else ()
        if self.channels > 1:
            taken = "taken as channels" if opaque == self.samples else f"{opaque} of them taken as channels"
            return (*notes, f"each page holds {self.samples} samples, {taken}")
        return (*notes, said[self.photometric]) if self.photometric in said else notes

    @property
    def _is_grey_in_colours(self) -> bool:
        return self.photometric == RGB and self.channels == 1

    def plane(self, page: TiffPage, channel: int) -> np.ndarray:
        """One grey plane (Y, X) of a page.

        Raises:
            ValueError: the page has colours, and those before it had not.
        """
        return self.grey(_by_sample(page), page.index, channel, int(page.bitspersample))

    def grey(self, each: np.ndarray, page: int, channel: int, bits: int) -> np.ndarray:
        """One grey plane (Y, X) of the decoded pixels of a page.

        Args:
            each: (samples, Y, X).
            page: its number, for the message.
            channel: of those in the page.
            bits: of each sample.

        Raises:
            ValueError: as for `plane`.
        """
        if self._is_grey_in_colours and not _equal(each):
            raise ValueError(f"page {page} has colours where others are grey: convert the stack to grey")
        plane: np.ndarray = each[self.shown[channel]]
        if self.photometric == WHITE_IS_ZERO:
            white = 1 if plane.dtype.kind == "b" else 2**bits - 1
            plane = (white - plane.astype(native(plane.dtype))).astype(native(plane.dtype))
        return plane


def kind_of(pages: list[TiffPage]) -> Kind:
    """The kind of all pages, from the first; colours that are equal in the first, middle and last page are grey.

    Args:
        pages: checked, and all of one kind.
    """
    kind = Kind(photometric_of(pages[0]), int(pages[0].samplesperpixel), shown_samples(pages[0]))
    if kind.photometric != RGB or kind.channels != len(COLOURS):
        return kind
    looked_at = {0, len(pages) // 2, len(pages) - 1}
    return replace(kind, shown=(0,)) if all(_equal(_by_sample(pages[k])) for k in looked_at) else kind


def shown_samples(page: TiffPage) -> tuple[int, ...]:
    """Numbers of the samples that are no transparency.

    Args:
        page: as parsed.
    """
    samples, said = int(page.samplesperpixel), tuple(map(int, page.extrasamples))
    colours = len(COLOURS) if photometric_of(page) == RGB else 1
    first = samples - len(said)  # what the tag says, it says of the last ones
    return tuple(k for k in range(samples) if k < max(first, colours) or said[k - first] not in TRANSPARENT)


def _by_sample(page: TiffPage) -> np.ndarray:
    return sample_first(page.asarray(), page.axes)


def sample_first(pixels: np.ndarray, axes: str) -> np.ndarray:
    """The pixels of a page as (samples, Y, X).

    Args:
        pixels: of one page.
        axes: of them: YX, YXS or SYX.
    """
    return pixels[None] if axes == "YX" else pixels if axes == "SYX" else np.moveaxis(pixels, -1, 0)


def _equal(samples: np.ndarray) -> bool:
    return all(np.array_equal(samples[0], samples[k]) for k in range(1, len(COLOURS)))


def native(dtype: np.dtype) -> np.dtype:
    """The type that pixels are given in: native byte order, single bits as uint8.

    Args:
        dtype: as in the file.
    """
    return np.dtype("u1") if dtype.kind == "b" else dtype.newbyteorder("=")
