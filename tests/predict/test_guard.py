import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pssr.config import preset
from pssr.crappify.calibrate import calibrate
from pssr.crappify.chain import crappifier
from pssr.data.intensity import Intensity, matched, measure, sampled
from pssr.errors import PssrError
from pssr.io.open import open_stack
from pssr.io.stack import Stack
from pssr.model_file import Model, Source, load
from pssr.predict.evaluate import acquire
from pssr.predict.guard import mismatches
from pssr.simulate import tubules
from pssr.training.prepare import reference
from pssr.training.sources import gathered

SENTENCE = re.compile(r"[a-z ]+: [^;]+; [^;]+[^.;]")  # what: what is wrong, with the value; what to do


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def good(seed: int, interval_s: float = 2.0) -> np.ndarray:
    movie = tubules(frames=6, size_px=160, seed=seed, interval_s=interval_s)
    return np.rint(1000 + 3000 * movie.frames).astype(np.uint16)


def write(path: Path, planes: np.ndarray, *, um=None, s=None, channel=None, axes="TYX") -> Stack:
    told = {"axes": axes}
    told |= {"PhysicalSizeX": um, "PhysicalSizeY": um} if um else {}
    told |= {"TimeIncrement": s, "TimeIncrementUnit": "s"} if s else {}
    told |= {"Channel": {"Name": [channel]}} if channel else {}
    tifffile.imwrite(path, planes, photometric="minisblack", ome=True, metadata=told)
    return open_stack(path)


def trained(path: Path, *, scale=2, crappify="point_scan", **settings) -> Model:
    """What training keeps, without weights: two movies with 0.05 um, 2 s and a channel named mito."""
    config = preset("movie").changed({"scale": scale, "crappifier": crappify, **settings})
    stacks = [write(path / f"good{k}.ome.tif", good(k), um=0.05, s=2.0, channel="mito") for k in (100, 101)]
    material = gathered(config, [stack.movie() for stack in stacks], ())
    make_bad = crappifier(config.crappifier, scale)
    return Model(config, {}, reference(config, material, make_bad), material.sources, 1, {})


def low_of(movie: np.ndarray, model: Model, seed: int = 0, crappify=None) -> np.ndarray:
    parts = (
        preset("movie").changed({"crappifier": crappify}).crappifier if crappify else model.config.crappifier
    )
    return acquire(movie, crappifier(parts, model.config.scale), measure(movie), rng(seed))


def told(model: Model, stack: Stack, channel: int = 0, **more) -> tuple[str, ...]:
    planes = [stack.plane(T=t, C=channel, Z=stack.sizes["Z"] // 2) for t in sampled(stack.sizes["T"])]
    return mismatches(model, stack, channel, matched(planes, model.reference), **more)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    return trained(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def low(model) -> np.ndarray:
    return low_of(good(1), model)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(
    "crappify", ["point_scan", "airyscan", "csbdeep", "sem", ["bin", {"gaussian": {"sigma": 0.05}}], ["bin"]]
)
def test_a_stack_like_those_of_the_training_gives_no_warning(tmp_path, crappify, scale):
    like = trained(tmp_path, crappify=crappify, scale=scale)
    for seed, interval_s in ((1, 2.0), (2, 2.0), (3, 2.0), (4, 10.0)):
        bad = low_of(good(seed, interval_s), like, seed)
        assert told(like, write(tmp_path / "low.ome.tif", bad, um=0.05 * scale, s=2.0, channel="Mito")) == ()


def test_a_really_trained_model_is_content_with_what_it_was_trained_for(run_folder, tmp_path):
    real = load(run_folder)
    for seed in range(4):
        movie = np.rint(200 + 3000 * tubules(frames=8, size_px=160, seed=seed).frames).astype(np.uint16)
        assert told(real, write(tmp_path / "low.ome.tif", low_of(movie, real, seed))) == ()


def test_nothing_known_is_nothing_said(model, low, tmp_path):
    mute = replace(model, sources=())
    stack = write(tmp_path / "low.ome.tif", low, um=9.0, s=900.0, channel="er")
    assert told(mute, stack) == ()
    unknown = [
        replace(source, name="movie 0", pixel_size_um=None, interval_s=None) for source in model.sources
    ]
    assert told(replace(model, sources=unknown), stack) == ()
    assert told(model, write(tmp_path / "plain.ome.tif", low)) == ()


def test_another_pixel_size_is_told(model, low, tmp_path):
    said = told(model, write(tmp_path / "low.ome.tif", low, um=0.2))
    assert said == (
        "pixel size: 0.2 um, the model was trained for 0.1 um; use a model trained for pixels of this size",
    )
    assert told(model, write(tmp_path / "low.ome.tif", low, um=0.118)) == ()


def test_of_several_pixel_sizes_the_nearest_counts(model, low, tmp_path):
    sizes = (0.05, 0.1, 0.4)
    several = replace(model, sources=[replace(model.sources[0], pixel_size_um=um) for um in sizes])
    assert told(several, write(tmp_path / "low.ome.tif", low, um=0.21)) == ()
    (sentence,) = told(several, write(tmp_path / "low.ome.tif", low, um=0.4))
    assert sentence.startswith("pixel size: 0.4 um, the model was trained for 0.1 to 0.8 um; ")


def test_another_frame_interval_is_told_where_neighbours_count(model, low, tmp_path):
    stack = write(tmp_path / "low.ome.tif", low, s=30.0)
    (sentence,) = told(model, stack)
    assert sentence.startswith("frame interval: 30 s, the model was trained with 2 s; ")
    assert told(model, write(tmp_path / "near.ome.tif", low, s=3.9)) == ()
    assert told(replace(model, config=model.config.changed({"frames": 1})), stack) == ()
    along_z = told(replace(model, config=model.config.changed({"axis": "Z"})), stack)
    assert [sentence.partition(":")[0] for sentence in along_z] == ["frames"]


def test_another_channel_is_told_where_both_have_names(model, low, tmp_path):
    (sentence,) = told(model, write(tmp_path / "low.ome.tif", low, channel="tubulin"))
    assert sentence.startswith("channel: is 'tubulin', the model was trained on 'mito'; ")
    for name in ("MITO", "mito-T2", "channel 1", "Ch1-T1", "ChA-T2", "Channel:0:1", "561", "green"):
        assert told(model, write(tmp_path / "low.ome.tif", low, channel=name)) == ()


@pytest.mark.parametrize(
    "name",
    ["a.czi [ER, scene 2, z 3]", "a [b], c.tif [er, z 12]", "a.czi [er (1)]", "a.czi [er, scene P1, z 0]"],
)
def test_the_channel_is_found_in_the_name_of_a_source(model, low, tmp_path, name):
    stack = write(tmp_path / "low.ome.tif", low, channel="er")
    assert told(replace(model, sources=[replace(model.sources[0], name=name)]), stack) == ()


def test_another_range_of_counts_is_told(model, low, tmp_path):
    dim = np.rint(low / 30).astype(np.uint16)
    (sentence,) = told(model, write(tmp_path / "low.ome.tif", dim))
    own = measure(dim).high - measure(dim).low
    span = own / (model.reference[1] - model.reference[0])
    trained_for = sorted(source.high - source.low for source in model.sources)
    assert sentence.startswith(
        f"intensity: the stack spans {span:.3g} counts, the model was trained for {trained_for[0]:.0f} or {trained_for[1]:.0f}; "
    )
    assert told(model, write(tmp_path / "fraction.ome.tif", (low / 30).astype(np.float32))) == ()
    assert told(model, write(tmp_path / "third.ome.tif", low // 3)) == ()


def test_few_grey_levels_are_told(model, low, tmp_path):
    like = replace(model, sources=())
    (sentence,) = told(like, write(tmp_path / "few.ome.tif", (low // 500).astype(np.uint8)))
    levels = np.ptp(np.percentile(low // 500, (1, 99.8))) + 1
    assert sentence.startswith(f"grey levels: {levels:.0f} between the 1 and 99.8 % points")
    assert told(like, write(tmp_path / "more.ome.tif", (low // 100).astype(np.uint8))) == ()


@pytest.mark.parametrize(
    ("dtype", "top"), [(np.uint8, 255), (np.uint16, 4095), (np.uint16, 65535), (np.int16, 32767)]
)
def test_saturated_pixels_are_told(model, low, tmp_path, dtype, top):
    full = (low.astype(float) * 0.4 * top / np.percentile(low, 99.9)).astype(dtype)
    full[:, :8, :20] = top
    (sentence,) = told(replace(model, sources=()), write(tmp_path / "low.ome.tif", full))
    assert sentence.startswith(f"saturation: 2.5 % of the pixels are at {top}, ")


def test_a_few_full_pixels_or_a_chance_maximum_are_no_saturation(model, low, tmp_path):
    few = np.minimum(low, 4000).astype(np.uint16)
    few[:, 0, :5] = 4095  # of 6400
    assert told(model, write(tmp_path / "few.ome.tif", few)) == ()
    few[:, :8, :20] = 4094
    assert told(model, write(tmp_path / "chance.ome.tif", few)) == ()


def numbers_in(sentence: str) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+)(?= (?:% of|to|%,))", sentence)]


def test_more_noise_than_in_the_training_is_told(tmp_path):
    clean = trained(tmp_path, crappify=["bin", {"gaussian": {"sigma": [0.03, 0.06]}}])
    noisy = low_of(good(1), clean, crappify=["bin", {"gaussian": {"sigma": 0.2}}])
    (sentence,) = told(clean, write(tmp_path / "low.ome.tif", noisy))
    assert re.match(
        r"noise: from pixel to pixel it is \d+ % of the range \(where that is \d+ % full\), the model was ",
        sentence,
    )
    own, least, most = numbers_in(sentence)
    # The 1 and 99.8 % points lie further apart in so noisy a stack: its noise is a smaller share of its range.
    assert 12 < own < 21
    assert (least, most) == pytest.approx((3, 6), abs=0.8)
    assert "taken for structure" in sentence
    assert "`pssr calibrate`" in sentence


def test_less_noise_than_in_the_training_is_told(model, tmp_path):
    bright = low_of(good(1), model, crappify=["bin", {"gaussian": {"sigma": 0.02}}])
    (sentence,) = told(model, write(tmp_path / "low.ome.tif", bright))
    own, least, most = numbers_in(sentence)
    assert own == pytest.approx(2.5, abs=0.7)  # 2 %, and what the specimen leaves
    # Half full: 10 to 80 photons at 1, and read noise of 0.01 to 0.05.
    assert (least, most) == pytest.approx(
        (100 * (0.5 / 80) ** 0.5, 100 * (0.5 / 10 + 0.05**2) ** 0.5), rel=0.3
    )
    assert "fine structure will be smoothed away" in sentence


def test_noise_where_the_training_had_none_is_told(tmp_path):
    silent = trained(tmp_path, crappify=["bin"])
    noisy = low_of(good(1), silent, crappify=["bin", {"poisson": {"peak": 40}}])
    (sentence,) = told(silent, write(tmp_path / "low.ome.tif", noisy))
    assert "the model was trained without any, so that it will be taken for structure" in sentence


def test_a_crappifier_calibrated_on_a_stack_fits_that_stack(tmp_path):
    other = trained(tmp_path)
    photons = low_of(
        good(1), other, crappify=["bin", {"poisson": {"peak": 400}}, {"gaussian": {"sigma": 0.01}}]
    )
    stack = write(tmp_path / "low.ome.tif", photons)
    assert [sentence[:6] for sentence in told(other, stack)] == ["noise:"]
    steps = [{step.name: dict(step.settings)} for step in calibrate([photons]).steps]
    assert told(trained(tmp_path, crappify=steps), stack) == ()


def test_noise_that_cannot_be_measured_is_not_compared(model, low, tmp_path):
    bright = low_of(good(1), model, crappify=["bin", {"gaussian": {"sigma": 0.02}}])
    assert len(told(model, write(tmp_path / "low.ome.tif", bright))) == 1
    for name, planes in {
        "short": bright[:2],
        "small": bright[:, :24, :24],
        "flat": np.broadcast_to(bright[:1, :1, :1], bright.shape),
        "holes": np.where(np.eye(80, dtype=bool), np.nan, bright).astype(np.float32),
    }.items():
        said = told(model, write(tmp_path / f"{name}.ome.tif", planes))
        assert not [sentence for sentence in said if sentence.startswith("noise")]


FOREIGN = "import torch\ndef cover(frames, rng):\n    return frames + 0.1 * torch.randn(frames.shape, generator=rng)\n"


def test_foreign_code_is_run_only_where_it_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "somebodys_guarded_lab.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    clean = trained(tmp_path, crappify=["bin"])
    foreign = replace(
        clean, config=clean.config.changed({"crappifier": ["bin", "somebodys_guarded_lab:cover"]})
    )
    stack = write(tmp_path / "low.ome.tif", low_of(good(1), clean))
    assert told(foreign, stack) == ()
    (sentence,) = told(foreign, stack, trust=["somebodys_guarded_lab"])
    assert numbers_in(sentence)[1:] == pytest.approx([10, 10], abs=1)


def test_a_trusted_step_that_fails_is_not_compared(tmp_path, low, model):
    absent = replace(model, config=model.config.changed({"crappifier": ["bin", "no_such_lab_at_all:cover"]}))
    assert told(absent, write(tmp_path / "low.ome.tif", low), trust=["no_such_lab_at_all"]) == ()


def test_of_real_pairs_the_low_partner_counts(tmp_path, model):
    config = model.config
    high = write(tmp_path / "high.ome.tif", good(1), um=0.05, channel="mito")
    real = low_of(good(1), model, crappify=["bin", {"gaussian": {"sigma": 0.01}}]) // 40
    partner = write(tmp_path / "partner.ome.tif", real, um=0.1, channel="fast mito")
    material = gathered(config, [high.movie()], [partner.movie()])
    share = reference(config, material, crappifier(config.crappifier, 2))
    pairs = Model(config, {}, share, material.sources, 1, {})
    assert told(pairs, partner) == ()
    (sentence,) = told(pairs, write(tmp_path / "as_high.ome.tif", real * 40, um=0.1, channel="mito"))
    assert re.match(
        r"intensity: the stack spans \d+ counts, the model was trained for \d\d(\.\d)?; ", sentence
    )


def test_neighbours_along_another_axis_are_told_of(model, low, tmp_path):
    (deep,) = told(model, write(tmp_path / "deep.ome.tif", low, axes="ZYX"))
    assert (
        "takes 3 neighbours along T, of which there is one, and not along Z: each plane is restored alone"
        in deep
    )
    single = replace(model, config=model.config.changed({"frames": 1}))
    assert told(single, write(tmp_path / "deep.ome.tif", low, axes="ZYX")) == ()
    assert told(model, write(tmp_path / "image.ome.tif", low[0], axes="YX")) == ()


def test_each_mismatch_is_one_sentence_of_the_house(model, low, tmp_path):
    full = np.where(np.arange(80) < 4, 255, low // 600).astype(np.uint8)
    stack = write(tmp_path / "low.ome.tif", full, um=0.5, s=20.0, channel="er")
    said = mismatches(model, stack, 0, Intensity(0, 8))
    assert [sentence.partition(":")[0] for sentence in said[:6]] == [
        "pixel size", "frame interval", "channel", "intensity", "grey levels", "saturation",
    ]  # fmt: skip
    assert all(SENTENCE.fullmatch(sentence) for sentence in said)


@pytest.mark.slow
def test_real_files_are_compared_without_a_crash(data_folder, model):
    seen = 0
    files = [p for p in sorted(data_folder.rglob("*")) if p.suffix in (".czi", ".tif", ".png", ".jpg")]
    for path in files[:: max(1, len(files) // 60)]:
        try:
            stack = open_stack(path)
            said = [sentence for c in range(stack.sizes["C"]) for sentence in told(model, stack, c)]
        except PssrError:
            continue  # damaged on purpose, or with a choice to be made
        seen += 1
        assert all(SENTENCE.fullmatch(sentence) for sentence in said), said
        like = Source(
            f"{path.name} [{stack.channels[0]}]", (1, 8, 8), str(stack.dtype), 0, 1,
            stack.pixel_size_um and stack.pixel_size_um / 2, stack.interval_s,
        )  # fmt: skip
        matching = told(replace(model, sources=[like]), stack)
        assert not {s.partition(":")[0] for s in matching} & {"pixel size", "frame interval", "channel"}
    assert seen > 20
