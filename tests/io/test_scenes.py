from pathlib import Path

import pytest

from pssr.errors import ChoiceNeeded
from pssr.io.scenes import scene_number

A = Path("a.czi")


def test_a_scene_is_chosen_by_name_or_by_number():
    names = ["left", "right"]
    assert [scene_number(A, names, scene) for scene in ("left", "right", 0, "1")] == [0, 1, 0, 1]
    assert [scene_number(A, names, scene, [4, 7]) for scene in (4, "7")] == [0, 1]


def test_a_name_comes_before_a_number():
    names = ["1", "0", "well 3"]
    assert [scene_number(A, names, scene) for scene in ("0", 0, 1, "2")] == [1, 1, 0, 2]


def test_a_single_scene_needs_no_choice():
    assert [scene_number(A, ["left"], scene) for scene in (None, 0, "left")] == [0, 0, 0]
    with pytest.raises(ChoiceNeeded, match="has no scene 4; it has only one, left"):
        scene_number(A, ["left"], 4)


def test_no_choice_among_several_lists_them():
    with pytest.raises(ChoiceNeeded, match=r"a\.czi: choose a scene \(left, right\)") as error:
        scene_number(A, ["left", "right"], None)
    assert error.value.choices == ("left", "right")
    with pytest.raises(ChoiceNeeded, match="has no scene 2; choose one of left, right"):
        scene_number(A, ["left", "right"], 2)
