import pytest

from pssr.assignments import assignments
from pssr.config import preset
from pssr.errors import ConfigError


def steps(*words: str) -> dict[str, dict]:
    changed = preset("movie").changed(assignments(list(words)))
    return {part.name: dict(part.settings) for part in changed.crappifier}


def test_settings_are_changed_by_their_path():
    changed = preset("movie").changed(
        assignments(
            [
                "train.lr=1e-4",
                "crappifier.poisson.peak=[50, 100]",
                "network.edsr.size=small",
                "loss.stability=0.2",
            ]
        )
    )
    assert changed.train.lr == 1e-4
    assert dict(changed.crappifier[3].settings) == {"peak": [50, 100]}
    assert changed.network.settings["size"] == "small"
    assert changed.loss["stability"] == 0.2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.stps=3", "train.stps: no such setting; did you mean 'steps'"),
        ("train.steps=three", "train.steps: 'three' will not do"),
        ("train.steps=0", "train.steps: 0 will not do .*greater than or equal to 1"),
        ("frames=4", "frames: 4 has no middle frame; use an odd number such as 5"),
        ("scale=5", "scale: 5 will not do"),
        ("crappifier.posson.peak=3", "crappifier.posson.peak: no such step; did you mean 'poisson'"),
        (
            "crappifier.poisson=100",
            "crappifier.poisson: 100 is none of its settings; write crappifier.poisson.SETTING=100",
        ),
        ("crappifier.9.peak=1", "crappifier.9.peak: has no step 9; there are 5, counted from 1"),
        ("network.unet.size=small", "network.unet.size: no such part; choose from edsr"),
        ("sed=1", "sed: no such setting; did you mean 'seed'"),
        ("scale.edsr=1", "scale.edsr: scale has no settings in it; write scale=1"),
        ("loss.l1=-1", "loss.l1: -1 will not do .*greater than or equal to 0"),
        ("train.lr=.inf", "train.lr: inf will not do"),
        ("loss.l1=.nan", "loss.l1: nan will not do"),
        ("crappifier=MyMito.yaml", r"crappifier: MyMito.yaml: cannot be read|MyMito.yaml: cannot be read"),
        ("lr", "'lr': write it as setting=value, for example train.lr=1e-4"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_a_way_out(word: str, message: str):
    with pytest.raises(ConfigError, match=message):
        preset("movie").changed(assignments([word]))


def test_a_part_named_alone_gets_all_its_settings_replaced():
    assert steps("crappifier.gaussian={sigma: 0.3}")["gaussian"] == {"sigma": 0.3}
    changed = preset("movie").changed({"network.edsr": {"width": 12, "blocks": 2}})
    assert dict(changed.network.settings) == {"width": 12, "blocks": 2}


def test_a_recipe_is_chosen_by_name_and_then_changed():
    changed = preset("movie").changed(assignments(["crappifier=airyscan", "crappifier.poisson.peak=9"]))
    assert [part.name for part in changed.crappifier][-1] == "blur"
    assert next(dict(p.settings) for p in changed.crappifier if p.name == "poisson") == {"peak": 9.0}


def test_a_network_is_chosen_by_name_and_then_changed():
    changed = preset("movie").changed(assignments(["network=edsr", "network.edsr.size=small"]))
    assert (changed.network.name, dict(changed.network.settings)) == ("edsr", {"size": "small"})


@pytest.mark.parametrize("word", ["data", "train", "loss", "crappifier", "network"])
def test_a_whole_section_that_is_no_section_has_no_settings_in_it(word):
    with pytest.raises(ConfigError, match=f"{word}.x: {word} has no settings in it"):
        preset("movie").changed(assignments([f"{word}=5", f"{word}.x=1"]))


def test_a_crappifier_that_is_no_list_of_steps_has_none_to_change():
    with pytest.raises(ConfigError, match="crappifier has no settings in it"):
        preset("movie").changed(assignments(["crappifier={poisson: {peak: 3}}", "crappifier.poisson.peak=4"]))


def test_a_name_that_occurs_twice_is_numbered():
    with pytest.raises(ConfigError, match=r"2 steps have that name; say crappifier\.1 or crappifier\.6"):
        steps("crappifier=airyscan", "crappifier.blur.sigma_px=2")
    changed = preset("movie").changed(assignments(["crappifier=airyscan", "crappifier.6.sigma_px=2"]))
    assert [dict(p.settings)["sigma_px"] for p in changed.crappifier if p.name == "blur"] == [[0.2, 1.0], 2.0]
    with pytest.raises(ConfigError, match="no such step"):
        steps("crappifier=[]", "crappifier.blur.sigma_px=9")


def test_ones_own_parts_have_dots_in_their_names():
    changed = preset("movie").changed(
        {
            "crappifier": ["bin", {"my_lab.parts:stripes": {"strength": 0.1}}],
            "crappifier.my_lab.parts:stripes.strength": 0.2,
            "loss.my_lab.losses:edges": 0.5,
            "network": {"my_lab.nets:Net": None},
            "network.my_lab.nets:Net.width": 8,
        }
    )
    assert dict(changed.crappifier[1].settings) == {"strength": 0.2}
    assert changed.loss["my_lab.losses:edges"] == 0.5
    assert (changed.network.name, dict(changed.network.settings)) == ("my_lab.nets:Net", {"width": 8})
