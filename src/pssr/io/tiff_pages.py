"""The pages of a TIFF and of the files beside it, each checked and counted."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tifffile

from pssr.errors import ReadError
from pssr.io.ome import uuid_of
from pssr.io.tiff_check import check_page, page_offsets
from pssr.io.tiff_meaning import Meaning
from pssr.io.tiff_planes import page_at, translated


class Page(NamedTuple):
    """A page, and the byte at which its directory begins."""

    offset: int
    page: tifffile.TiffPage


def full_pages(path: Path, tif: tifffile.TiffFile, offsets: Sequence[int]) -> dict[int, Page]:
    """Checked pages by their number in the file, without those marked as reduced copies.

    Args:
        path: for messages.
        tif: the file, open.
        offsets: of its directories, in order.

    Raises:
        ReadError: a page is damaged or of a kind that is not read.
    """
    pages, pieces, end = {}, 0, tif.filehandle.size
    for number, offset in enumerate(offsets):
        page = page_at(tif, number, offset)
        pieces += len(page.dataoffsets)
        if pieces > end:
            raise ReadError(f"{path}: announces more parts of pages than it has bytes; copy it again")
        if page.is_reduced and number > 0:
            continue
        check_page(path, number, page, tif.filehandle)
        pages[number] = Page(offset, page)
    _refuse_overlap(path, pages, 20 if tif.is_bigtiff else 12)
    return pages


def _refuse_overlap(path: Path, pages: dict[int, Page], entry_bytes: int) -> None:
    """Parts that lie on each other, or on a directory, are damaged; several pages may share the same part.

    So may compressed parts of one page: of equal ones, only the first is sometimes written.
    """
    for number, (_, page) in pages.items():
        if page.compression == 1 and len(set(page.dataoffsets)) < len(page.dataoffsets):
            raise ReadError(
                f"{path}: page {number} has several parts at one place; it is damaged, copy it again"
            )
    parts = {
        (at, at + count)
        for _, page in pages.values()
        for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    }
    heads = {(offset, offset + len(page.tags) * entry_bytes) for offset, page in pages.values()}
    every = sorted(parts | heads)
    for (_, end), (start, _) in itertools.pairwise(every):
        if start < end:
            raise ReadError(f"{path}: the pixels at byte {start} lie on others; it is damaged, copy it again")


def used_pages(path: Path, pages: dict[int, Page], meaning: Meaning) -> dict[int, Page]:
    """The page of each plane that is there, by its place in the order of the meaning's pages.

    Args:
        path: of the file.
        pages: of it.
        meaning: which page is which plane, and in which file.

    Raises:
        ReadError: a page is not there, or another file is not the one that is meant.
    """
    there = {k: page for k, page in enumerate(meaning.pages) if page >= 0}
    if not there:
        raise ReadError(f"{path}: holds none of the planes that it announces; {meaning.advice}")
    homes = meaning.homes or ("",) * len(meaning.pages)
    by_file = {"": pages} | {
        name: _pages_of(path.with_name(name), meaning.identities.get(name))
        for name in dict.fromkeys(homes[k] for k in there)
        if name
    }
    for k, page in there.items():
        if page not in by_file[homes[k]]:
            raise ReadError(
                f"{path.with_name(homes[k]) if homes[k] else path}: has no page {page} of full size, which its OME-XML "
                "announces; copy it again"
            )
    return {k: by_file[homes[k]][page] for k, page in there.items()}


def _pages_of(path: Path, identity: str | None) -> dict[int, Page]:
    with translated(path), tifffile.TiffFile(path) as tif:
        own = uuid_of(tif.ome_metadata or "")
        if identity and own and own != identity:
            raise ReadError(f"{path}: is another file than the stack's of that name; put the right one here")
        return full_pages(path, tif, page_offsets(path))
