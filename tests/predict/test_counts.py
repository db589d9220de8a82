import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pssr.data.intensity import Intensity
from pssr.predict.counts import Landing, arrived, counted, lifted

DEVICES = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "float32", "float64"]

pytestmark = pytest.mark.parametrize("device", DEVICES, ids=str)


def there(plane: np.ndarray, scale: Intensity, device: torch.device) -> torch.Tensor:
    return arrived(lifted(plane, scale, device), scale, device)


def back(unit: torch.Tensor, scale: Intensity, dtype: str) -> np.ndarray:
    return Landing(counted(unit, scale, np.dtype(dtype))).array()


def counts_of(dtype: str) -> tuple[np.ndarray, Intensity]:
    """Random counts all over a type, and a scale that leaves some of them outside 0..1."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.normal(100, 50, (33, 20)).astype(dtype), Intensity(20.0, 180.0)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    plane = rng.integers(low, high, (33, 20), dtype, endpoint=True)
    plane[0, :2] = low, high
    return plane, Intensity(low + 0.1 * (float(high) - low), low + 0.9 * (float(high) - low))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_counts_come_back_as_they_were(device, dtype):
    plane, scale = counts_of(dtype)
    unit = there(plane, scale, device)
    assert (unit.dtype, unit.device.type) == (torch.float32, device.type)
    found = back(unit, scale, dtype)
    assert found.dtype == plane.dtype
    # float32 keeps 24 bits.
    far = np.abs(found.astype(np.float64) - plane.astype(np.float64)).max()
    span = scale.high - scale.low
    assert far <= span * 2**-22 if plane.dtype.itemsize > 2 or plane.dtype.kind == "f" else far == 0


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@given(low=st.floats(-1e4, 6e4), span=st.floats(1, 6e4), data=st.data())
def test_short_integers_on_any_scale_come_back_within_rounding(device, dtype, low, span, data):
    plane, scale = data.draw(arrays(dtype, (3, 4))), Intensity(low, low + span)
    found = back(there(plane, scale, device), scale, dtype)
    # Numbers about as large as the sum of these are rounded to 24 bits on the way.
    most = 1 + (abs(low) + span + 2**16) * 2**-22
    assert np.abs(found.astype(int) - plane.astype(int)).max() <= most


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_what_arrives_is_what_the_scale_makes_of_it(device, dtype):
    plane, scale = counts_of(dtype)
    np.testing.assert_array_equal(there(plane, scale, device).cpu().numpy(), scale.to_unit(plane))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_counts_are_those_of_the_scale_within_rounding(device, dtype):
    _, scale = counts_of(dtype)
    unit = torch.rand((40, 30), generator=torch.Generator().manual_seed(0)) * 1.6 - 0.3
    found, exact = back(unit.to(device), scale, dtype), scale.from_unit(unit.numpy(), np.dtype(dtype))
    assert found.dtype == exact.dtype
    far = np.abs(found.astype(np.float64) - exact.astype(np.float64)).max()
    if dtype in ("uint8", "int8", "uint16", "int16"):
        # Those in the middle between two numbers may go to either.
        assert far <= 1
        assert (found != exact).mean() < 0.02
    else:
        assert far <= 2**-22 * (scale.high - scale.low)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_saturate_instead_of_wrapping(device, dtype):
    limits = np.iinfo(dtype)
    scale = Intensity(float(limits.min), float(limits.max))
    unit = torch.tensor([[-1e6, -0.5, 1.5, 1e6, -torch.inf, torch.inf]], device=device)
    low, high = int(limits.min), int(limits.max)
    found = back(unit, scale, dtype).tolist()[0]
    assert [found[0], found[1], found[4]] == [low] * 3
    # The largest of 64 bits is no float64: the next one below is.
    assert all(high * (1 - 1e-15) <= value <= high for value in (found[2], found[3], found[5]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_may_leave_the_scale(device, dtype):
    unit = torch.tensor([[-0.5, 1.5]], device=device)
    assert back(unit, Intensity(0, 10), dtype).tolist() == [[-5.0, 15.0]]


def test_integers_are_rounded(device):
    unit = torch.tensor([[0.26, 0.34, 0.04]], device=device)
    for dtype in INTEGERS:
        assert back(unit, Intensity(0, 10), dtype).tolist() == [[3, 3, 0]]


def test_what_is_lifted_is_not_the_plane_itself(device):
    """A reader may use its memory for the next plane."""
    plane, scale = np.full((3, 3), 4, np.float32), Intensity(0, 8)
    unit = there(plane, scale, device)
    plane[:] = 0
    assert (unit == 0.5).all()


@pytest.mark.parametrize("order", [">", "<"])
def test_counts_in_either_byte_order_and_read_only_arrive(device, order):
    plane = np.arange(6, dtype=f"{order}u2").reshape(2, 3)
    plane.flags.writeable = False
    assert there(plane, Intensity(0, 10), device).tolist() == pytest.approx(np.arange(6).reshape(2, 3) / 10)
