import numpy as np
import pytest
import tifffile

from pssr.io.open import open_stack


@pytest.fixture
def stack(tmp_path):
    planes = np.random.default_rng(0).integers(0, 65535, (4, 2, 3, 8, 9), np.uint16)
    metadata = {
        "axes": "TCZYX",
        "Channel": {"Name": ["mito", "er"]},
        "PhysicalSizeX": 0.05,
        "TimeIncrement": 0.5,
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, metadata=metadata, photometric="minisblack")
    return open_stack(tmp_path / "a.ome.tif"), planes


def test_a_lazy_array_reads_what_is_computed(stack):
    lazy = stack[0].dask()
    assert (lazy.shape, lazy.dtype, lazy.chunksize) == ((4, 2, 3, 8, 9), np.uint16, (1, 1, 1, 8, 9))
    np.testing.assert_array_equal(lazy[2, 1].compute(), stack[1][2, 1])
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), stack[1])


def test_two_stacks_are_two_arrays(stack, tmp_path):
    """Tasks of one name are computed once: equal names of unequal stacks would give wrong pixels."""
    tifffile.imwrite(
        tmp_path / "b.ome.tif", stack[1] + 1, metadata={"axes": "TCZYX"}, photometric="minisblack"
    )
    other = open_stack(tmp_path / "b.ome.tif")
    assert ((other.dask() - stack[0].dask()).compute() == 1).all()


def test_coordinates_are_names_seconds_and_micrometres(stack):
    array = stack[0].xarray()
    assert array.dims == ("T", "C", "Z", "Y", "X")
    np.testing.assert_array_equal(array.sel(C="er", T=1.5).isel(Z=2), stack[1][3, 1, 2])
    np.testing.assert_allclose(array.X, np.arange(9) * 0.05)
    assert array.coords["T"].attrs["units"] == "s"
    assert array.X.attrs["units"] == "um"
    assert "Z" not in array.coords
