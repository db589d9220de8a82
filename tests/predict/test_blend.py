import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from pssr.predict.blend import Blend, overlapping, overlapping_boxes, ramp
from pssr.predict.engine import Engine

CPU = torch.device("cpu")
FREE = "pssr.predict.engine.free_bytes"
SIZES = {
    "side": st.integers(1, 60),
    "overlap": st.integers(0, 80),
    "multiple": st.sampled_from([1, 2, 4]),
}


class Blur(torch.nn.Module):
    """Sees two pixels far, and says of itself that it sees everything."""

    scale, frames, multiple, local = 2, 1, 1, False

    def __init__(self, halo: int = 2) -> None:
        super().__init__()
        self.halo, self.seen = halo, []
        self.register_buffer("kernel", torch.full((1, 1, 5, 5), 1 / 25))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape[-2:]))
        blurred = functional.conv2d(x, self.kernel, padding=2)
        return functional.interpolate(blurred, scale_factor=2)


class Enlarged(torch.nn.Module):
    """Repeats each pixel: constant frames stay constant."""

    scale, frames, halo, multiple, local = 3, 1, 0, 1, False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=3)


def frame(h: int, w: int) -> list[torch.Tensor]:
    return [torch.rand((1, h, w), generator=torch.Generator().manual_seed(0))]


def crowded(monkeypatch: pytest.MonkeyPatch, side: int, per_px: int) -> None:
    """So little memory that tiles of about that side fit, half of it being for tiles."""
    monkeypatch.setattr(FREE, lambda device: 2 * per_px * side * side)


@given(st.integers(1, 60), st.fixed_dictionaries(SIZES))
def test_spans_cover_an_axis_and_overlap(length, words):
    side, overlap, multiple = words["side"], words["overlap"], words["multiple"]
    length *= multiple
    spans = overlapping(length, **words)
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(start % multiple == 0 for start, _ in spans)
    assert len({stop - start for start, stop in spans}) == 1
    side = max(side // multiple, 1) * multiple
    # More than half of a tile is never shared, nor all of one that is as small as the grid.
    shared = min(overlap, side // 2, side - multiple)
    assert all(shared <= here[1] - there[0] < side for here, there in itertools.pairwise(spans))


@given(st.integers(1, 60), st.integers(1, 60), st.fixed_dictionaries(SIZES))
def test_boxes_cover_every_pixel(height, width, words):
    shape = height * words["multiple"], width * words["multiple"]
    covered = torch.zeros(shape, dtype=torch.int32)
    for box in overlapping_boxes(shape, **words):
        covered[box] += 1
    assert (covered >= 1).all()


@given(st.integers(2, 80), st.integers(1, 40))
def test_weights_of_two_neighbours_fade_into_each_other(length, overlap):
    overlap = min(overlap, length)
    falling = ramp(length, overlap, fades_in=False, fades_out=True)[length - overlap :]
    rising = ramp(length, overlap, fades_in=True, fades_out=False)[:overlap]
    assert (rising.diff() >= 0).all()
    assert (falling.diff() <= 0).all()
    torch.testing.assert_close(rising + falling, torch.ones(overlap), atol=2e-4, rtol=0)


def test_weights_are_one_inside_and_at_the_border_of_the_frame():
    assert ramp(9, 4, fades_in=False, fades_out=False).tolist() == [1] * 9
    weights = ramp(9, 4, fades_in=True, fades_out=False)
    assert weights[4:].tolist() == [1] * 5
    assert 0 < weights[0] < 0.1


@given(st.integers(1, 30), st.integers(1, 30), st.fixed_dictionaries(SIZES), st.integers(1, 2))
def test_parts_of_a_frame_blend_into_the_frame(height, width, words, planes):
    shape = height * words["multiple"], width * words["multiple"]
    whole = torch.rand((planes, *shape), generator=torch.Generator().manual_seed(0))
    blend = Blend(planes, shape, CPU)
    for box in overlapping_boxes(shape, **words):
        blend.add(whole[:, *box], box, words["overlap"])
    torch.testing.assert_close(blend.result(), whole, atol=1e-5, rtol=0)


def test_a_network_that_is_local_gives_about_the_whole_frame_when_blended(monkeypatch):
    net, x = Blur().eval(), frame(200, 171)
    answer = Engine(net, CPU)(x)
    assert net.seen[-1] == (200, 171)
    crowded(monkeypatch, 70, 28)
    engine = Engine(net, CPU)
    net.seen.clear()
    blended = engine(x)
    assert blended.shape == answer.shape
    assert 32 < max(side for shape in net.seen[1:] for side in shape) < 171
    difference = (blended - answer).abs()
    assert 0 < difference.max() < 0.02
    assert difference.mean() < 1e-3


def test_a_field_of_a_blended_frame_is_the_same_part_of_it(monkeypatch):
    net, x = Blur().eval(), frame(150, 131)
    crowded(monkeypatch, 70, 28)
    field = Engine(net, CPU)(x, (slice(11, 97), slice(60, 61)))
    assert torch.equal(field, Engine(net, CPU)(x)[:, 22:194, 120:122])


def test_a_constant_frame_has_no_seams(monkeypatch):
    crowded(monkeypatch, 50, 44)
    engine = Engine(Enlarged().eval(), CPU)
    answer = engine([torch.full((1, 140, 133), 0.7)])
    assert "blended" in engine.notes()[0]
    torch.testing.assert_close(answer, torch.full((1, 420, 399), 0.7), atol=1e-6, rtol=0)


def test_that_pixels_can_change_is_said_once(monkeypatch):
    crowded(monkeypatch, 50, 44)
    engine, x = Engine(Enlarged().eval(), CPU), frame(140, 133)
    assert engine.notes() == []
    engine(x)
    (said,) = engine.notes()
    assert said.startswith("tiles: the frame does not fit into memory and the network sees all of it;")
    engine(x)
    assert engine.notes() == []


def test_a_tile_that_a_person_asked_for_does_not_change_pixels():
    net, x = Blur().eval(), frame(200, 171)
    engine = Engine(net, CPU, tile_px=40)
    assert torch.equal(engine(x), Engine(net, CPU)(x))
    assert (40, 40) not in net.seen
    assert engine.notes() == []


def test_memory_that_runs_out_makes_tiles_that_are_blended():
    class Crowded(Blur):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-2] * x.shape[-1] > 60 * 60:
                raise torch.OutOfMemoryError("full")
            return super().forward(x)

    x = frame(100, 90)
    net = Crowded().eval()
    engine = Engine(net, CPU)
    assert (engine(x) - Engine(Blur().eval(), CPU)(x)).abs().max() < 0.02
    assert engine.notes() == [
        "cpu: out of memory; goes on in tiles of 50 px, pixels near their borders can change"
    ]
    engine(x)
    assert engine.notes() == []


def test_a_network_that_says_how_far_it_sees_gets_tiles_as_large_as_memory_allows(monkeypatch):
    """A halo that no tile has beside it takes no memory."""
    net = Blur(halo=10**4).eval()
    crowded(monkeypatch, 70, 28)
    Engine(net, CPU)(frame(200, 171))
    assert max(side for shape in net.seen[1:] for side in shape) > 32
