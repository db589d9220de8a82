import pytest

from pssr.cli.words import as_options


@pytest.mark.parametrize(
    ("python", "options"),
    [
        ("choose axes=TCYX, TZYX or CTYX", "choose --axes TCYX, TZYX or CTYX"),
        ("say series=T if its files are frames", "say --series T if its files are frames"),
        (
            "choose another name, or say overwrite=True (--overwrite)",
            "choose another name, or say --overwrite",
        ),
        ("use one trained with ends=reflect", "use one trained with --set ends=reflect"),
        (
            "use a lower train.lr, or train.precision=fp32",
            "use a lower train.lr, or --set train.precision=fp32",
        ),
        ("or say missing=nan, zero or previous", "or say --missing nan, zero or previous"),
        ("a.tif: cannot be read (x=3); copy it again", "a.tif: cannot be read (x=3); copy it again"),
        (
            "files/seed=0/a.tif: does not exist; check the name",
            "files/seed=0/a.tif: does not exist; check the name",
        ),
        ("pssr: data=2024/a.tif: no such file", "pssr: data=2024/a.tif: no such file"),
        (
            "sweep/scale=4,frames=3/a.tif: bad; say axes=TYX",
            "sweep/scale=4,frames=3/a.tif: bad; say --axes TYX",
        ),
        ("pssr train --set loss.stability=0.4", "pssr train --set loss.stability=0.4"),
    ],
)
def test_what_the_package_says_in_python_is_told_as_options(python, options):
    assert as_options(python) == options
