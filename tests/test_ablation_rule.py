import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "ablation.py"


@pytest.fixture(scope="module")
def verdict():
    spec = importlib.util.spec_from_file_location("ablation", PATH)
    sys.modules["ablation"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.verdict
    del sys.modules["ablation"]


def rows(source, weight, *, flicker, psnr_db=30.0, texture=1.0, frames=3, seeds=(0, 1)):
    figures = {"flicker": flicker, "psnr_db": psnr_db, "texture": texture}
    return [{"source": source, "frames": frames, "weight": weight, "seed": seed, **figures} for seed in seeds]


def everywhere(weight, **figures):
    return [row for source in ("simulated", "fibsem", "airyscan") for row in rows(source, weight, **figures)]


ZERO = everywhere(0.0, flicker=0.010)


def test_the_steadiest_of_those_that_hold_wins(verdict):
    found = verdict(
        [
            *ZERO,
            *everywhere(0.2, flicker=0.0084),
            *everywhere(0.5, flicker=0.007),
            *everywhere(1, flicker=0.008),
        ]
    )
    assert "**w = 0.5 wins**, with 0.70 of weight 0's flicker." in found
    assert "fails" not in found
    assert "Not judged" not in found


def test_the_limits_themselves_hold(verdict):
    found = verdict([*ZERO, *everywhere(0.2, flicker=0.0085, psnr_db=29.9, texture=0.8)])
    assert "**w = 0.2 wins**" in found


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"flicker": 0.0086}, "flicker 0.860 > 0.85"),
        ({"flicker": 0.005, "psnr_db": 29.85}, "PSNR -0.15 dB < -0.1"),
        ({"flicker": 0.005, "texture": 0.79}, "HF energy 0.79 < 0.8"),
    ],
)
def test_one_failed_condition_on_one_material_is_enough_and_named(verdict, figures, why):
    fine = [row for row in everywhere(1.0, flicker=0.005) if row["source"] != "fibsem"]
    found = verdict([*ZERO, *fine, *rows("fibsem", 1.0, **figures)])
    assert "**No weight holds.**" in found
    assert f"- w = 1 fails on fibsem ({why})" in found


def test_energy_is_compared_with_weight_0_and_not_with_the_truth(verdict):
    zero = everywhere(0.0, flicker=0.010, texture=0.5)
    assert "**w = 1 wins**" in verdict([*zero, *everywhere(1.0, flicker=0.008, texture=0.45)])


def test_only_three_frames_and_seeds_that_both_weights_have_are_judged(verdict):
    one_frame = everywhere(2.0, flicker=0.001, frames=1)
    lonely = everywhere(1.0, flicker=0.02, seeds=(7,))
    found = verdict([*ZERO, *everywhere(1.0, flicker=0.008), *lonely, *one_frame])
    assert "**w = 1 wins**, with 0.80" in found
    assert "w = 2" not in found


def test_a_material_that_was_not_run_is_named(verdict):
    found = verdict([*ZERO, *everywhere(1.0, flicker=0.008), *rows("simulated", 2.0, flicker=0.001)])
    assert "**w = 1 wins**" in found
    assert "- w = 2 fails on fibsem (not run); airyscan (not run)" in found
    alone = verdict([*rows("simulated", 0.0, flicker=0.01), *rows("simulated", 1.0, flicker=0.008)])
    assert "**w = 1 wins**, with 0.80 of weight 0's flicker. Not judged on fibsem, airyscan." in alone
