import pytest

from pssr.errors import ConfigError, ModelError
from pssr.parts import Part, build, find, refuse_foreign


class Stripes:
    def __init__(self, *, strength: float = 1.0, pitch_px: int = 4) -> None:
        self.strength, self.pitch_px = strength, pitch_px


def shade(frames: object, *, share: float = 0.5) -> tuple[object, float]:
    return frames, share


KNOWN = {"stripes": Stripes, "shade": shade}


def test_a_class_is_instantiated_with_its_settings():
    made = build(Part("stripes", {"strength": 0.2}), KNOWN)
    assert (made.strength, made.pitch_px) == (0.2, 4)


def test_a_function_gets_its_settings_bound():
    assert build(Part("shade", {"share": 0.1}), KNOWN)("x") == ("x", 0.1)


def test_the_package_gives_only_what_a_part_takes():
    assert build(Part("stripes"), KNOWN, pitch_px=7, scale=4).pitch_px == 7


def test_a_part_of_ones_own_is_found_by_module_and_attribute():
    assert find("collections:OrderedDict", KNOWN).__name__ == "OrderedDict"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part("stripe"), "stripe: no part of that name; did you mean 'stripes'"),
        (Part("stripes", {"strenght": 1}), "stripes.strenght: no such setting; did you mean 'strength'"),
        (Part("no_such_lab:stripes"), "module 'no_such_lab' cannot be imported"),
        (Part("collections:nothing"), "has no 'nothing'"),
    ],
)
def test_a_wrong_part_is_refused_with_the_nearest_name(part: Part, message: str):
    with pytest.raises(ConfigError, match=message):
        build(part, KNOWN)


def test_a_model_may_not_name_foreign_code_unless_its_module_is_trusted():
    part = Part("os:system")
    with pytest.raises(ModelError, match=r"say trust=\['os'\]"):
        refuse_foreign(part, KNOWN, trusted=())
    refuse_foreign(part, KNOWN, trusted=("os",))
    refuse_foreign(Part("stripes"), KNOWN, trusted=())
