from pathlib import Path

import pytest

from pssr.errors import ChoiceNeeded, ReadError
from pssr.io.series_names import places_in

ROW = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]


def places(*names: str, axis: str = "T") -> list[tuple[int, int, int]]:
    return places_in([Path("folder", f"{name}.tif") for name in names], axis)


@pytest.mark.parametrize(
    "names",
    [
        ("t1_107ms", "t2_214ms", "t3_321ms", "t4_428ms"),
        ("s1_12-30-05", "s2_12-30-35", "s3_12-31-05", "s4_12-31-35"),
        ("1_Jan-30", "2_Jan-31", "3_Feb-30", "4_Feb-31"),
        ("a", "b", "c", "d"),
        ("f0", "f1", "g2", "g3"),
        ("exp7_f0", "exp7_f1", "exp7_f2", "exp7_f3"),
    ],
)
def test_files_that_one_number_counts_follow_each_other(names):
    assert places(*names) == ROW
    assert places(*names, axis="Z") == [(0, 0, k) for k in range(4)]


def test_letters_before_numbers_name_places():
    assert places("z0_w1_t1", "z0_w2_t1", "z0_w1_t2", "z0_w2_t2") == [
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 0),
        (1, 1, 0),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("a_0_0", "a_0_1", "a_1_0", "a_1_1"),
        ("a_0_0", "a_0_1", "a_1_0", "a_2_0", "a_2_1"),
        ("t0_p0", "t0_p1", "t1_p0"),
    ],
)
def test_numbers_of_which_none_counts_the_files_are_asked_for(names):
    with pytest.raises(
        ChoiceNeeded, match=r"folder: the names of its files count in 2 numbers .*'folder/\*_c0"
    ):
        places(*names)


@pytest.mark.parametrize(
    "names",
    [
        ("e_w1GFP_t1", "e_w1GFP_t2", "e_w2RFP_t1", "e_w2RFP_t2"),
        ("t0_DAPI", "t0_GFP"),
        ("e_GFP488_t1", "e_GFP488_t2", "e_DAPI_t1", "e_DAPI_t2"),
        ("t1", "t1_mask", "t2", "t3"),
    ],
)
def test_numbers_that_repeat_under_several_words_are_asked_for(names):
    with pytest.raises(ChoiceNeeded, match="have the same numbers under 2 words"):
        places(*names)


def test_the_pattern_that_is_told_takes_the_files_of_one_word():
    with pytest.raises(ChoiceNeeded, match=r"such as 'folder/t\*_mask\.tif'"):
        places("t1", "t1_mask", "t2", "t2_mask")


def test_names_that_differ_in_zeros_only_are_refused():
    with pytest.raises(
        ReadError, match=r"folder: t1.tif and t01.tif have the same numbers; keep one of them"
    ):
        places("t1", "t01", "t2")
