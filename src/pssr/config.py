"""What a run is: one typed tree, the same in Python, YAML, on the command line and in the model file."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from pssr.assignments import put
from pssr.errors import ConfigError
from pssr.parts import Part, cut, did_you_mean, part_from, shortened
from pssr.recipes import plain, recipe, text_of


def _steps(value: object) -> object:
    """A crappifier may be given by its name or file."""
    return recipe(value) if isinstance(value, str) else value


YamlPart = Annotated[
    Part, BeforeValidator(part_from), PlainSerializer(lambda part: {part.name: dict(part.settings)})
]
SETTINGS = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class Data(BaseModel):
    """Which patches a step sees."""

    model_config = SETTINGS
    patch_px: int = Field(
        96,
        ge=8,
        description="side of a training patch in high-resolution pixels; smaller where a movie is smaller",
    )
    batch: int = Field(
        16,
        ge=0,
        description="patches in a step, each crappified twice; 0 takes as many as memory allows, 64 at most",
    )
    tries: int = Field(
        4, ge=1, description="crops looked at for each patch; the one with most structure is taken"
    )
    gain: float = Field(
        0.25,
        ge=0,
        le=1,
        description="bundles are made brighter or darker by up to this share, bad and good copies alike",
    )
    held_back: float = Field(
        0.1, ge=0, le=0.5, description="share of the frames (or files) kept for validation"
    )
    align: bool = Field(
        False,
        description="whether good frames are moved and resized to lie on their real low-resolution partners; else pairs over "
        "half a low-resolution pixel off are refused",
    )
    grow_px: tuple[Annotated[int, Field(ge=8)], ...] = Field(
        (),
        description="smaller patches to begin with, each size for an equal share of the training; patch_px comes last",
    )
    workers: int = Field(0, ge=0, description="processes that cut patches; 0 cuts them between the steps")
    cache: Literal["ram", "disk", "none"] = Field(
        "ram",
        description="where planes that were read stay: in memory up to cache_gb, unpacked on disk in the temporary folder, or "
        "nowhere",
    )
    cache_gb: float = Field(2.0, gt=0, description="memory for planes, all workers together, in GB")


class Train(BaseModel):
    """How the network learns."""

    model_config = SETTINGS
    steps: int = Field(
        20_000, ge=1, description="steps in all; a run continued later counts on to the same total"
    )
    max_time_s: float | None = Field(
        None,
        gt=0,
        description="stop after this many seconds of training, the schedule fitted to it; null for no limit",
    )
    lr: float = Field(
        1e-3,
        ge=0,
        description="highest learning rate of the one-cycle schedule; 0 looks for one by a short rising test",
    )
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay of AdamW")
    clip: float = Field(0.5, gt=0, description="largest norm of the gradient; longer ones are shortened")
    ema: float = Field(
        0.999, ge=0, lt=1, description="memory of the averaged weights that are saved; 0 saves the last ones"
    )
    micro: int | None = Field(
        None,
        ge=1,
        description="patches that go through the network at once, their gradients added up to those of the batch; null for all",
    )
    freeze: tuple[str, ...] = Field(
        (), description="weights that stay as they are, by the beginning of their names, such as body"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many validations without a better score; null never stops"
    )
    compile: bool = Field(
        False, description="compile the network first: a minute or two once, then faster steps on a GPU"
    )
    validate_every: int = Field(
        1000, ge=1, description="steps between validations, each with a sample picture"
    )
    save_every_s: float = Field(60, gt=0, description="seconds between saves of the training state")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto measures which is fast on the device; the choice is kept in the run"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")


class Config(BaseModel):
    """A whole run."""

    model_config = SETTINGS
    seed: int = Field(0, ge=0, description="every random draw derives from it")
    scale: Literal[1, 2, 3, 4, 8] = Field(
        4, description="restored pixels per low-resolution pixel along each axis"
    )
    frames: int = Field(
        3, ge=1, description="frames in a bundle: 1, 3, 5 or more; the middle one is restored"
    )
    axis: Literal["T", "Z"] = Field("T", description="along which the frames of a bundle follow each other")
    ends: Literal["reflect", "repeat", "drop"] = Field(
        "reflect", description="first and last frames: mirror the movie, repeat the frame, or drop the target"
    )
    crappifier: Annotated[tuple[YamlPart, ...], BeforeValidator(_steps)] = Field(
        (Part("blur"), Part("bin"), Part("poisson"), Part("gaussian")),
        description="what makes a good frame bad, in order, or the name or file of such a list; [low, high] is drawn "
        "anew for every bundle",
    )
    network: YamlPart = Field(Part("edsr"), description="the network and its size: fast, small or quality")
    init: str | None = Field(
        None, description="model file or run folder whose weights training starts from; null draws them"
    )
    loss: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {"l1": 1.0, "stability": 1.0},
        min_length=1,
        description="weights: l1 is L1(Y1,T) + L1(Y2,T), stability is L1(Y1,Y2); more stability, less flicker and less texture",
    )
    data: Data = Field(Data(), description="patches")
    train: Train = Field(Train(), description="optimisation")

    def changed(self, settings: Mapping[str, Any]) -> "Config":
        """A copy with some settings replaced, named by their path: `{"train.steps": 100}`.

        Raises:
            ConfigError: an unknown setting, or a value of the wrong type or out of range.
        """
        tree = self.model_dump(mode="json")
        for path, value in settings.items():
            put(tree, path, value)
        return parse(tree)

    def to_yaml(self) -> str:
        """The tree as YAML, each setting under a comment that says what it is."""
        return "\n".join(_commented(type(self), self.model_dump(mode="json"), indent=0)) + "\n"


def parse(tree: object, where: str = "") -> Config:
    """A config from plain dicts and lists.

    Args:
        tree: as read from YAML or JSON.
        where: the file's name, for error messages.

    Raises:
        ConfigError: names the setting, what was found and what is expected.
    """
    prefix = f"{where}: " if where else ""
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"{prefix}a config is a mapping of settings, not {type(tree).__name__}; see `pssr config`"
        )
    try:
        config = Config.model_validate(dict(tree))
    except ValidationError as error:
        raise ConfigError(prefix + _explained(error)) from error
    if config.frames % 2 == 0:
        raise ConfigError(
            f"{prefix}frames: {shortened(config.frames)} has no middle frame; use an odd number such as "
            f"{shortened(config.frames + 1)}"
        )
    return config


def presets() -> list[str]:
    """The names of the configs that come with the package."""
    return sorted(
        p.name.removesuffix(".yaml") for p in files("pssr.presets").iterdir() if p.name.endswith(".yaml")
    )


def preset(name: str) -> Config:
    """A config that comes with the package.

    Raises:
        ConfigError: no such preset.
    """
    if name not in presets():
        raise ConfigError(f"preset: no preset '{name}'; {did_you_mean(name, presets())}")
    return parse(plain((files("pssr.presets") / f"{name}.yaml").read_text("utf-8")), name)


def read_config(path: Path, base: Config | None = None) -> Config:
    """A config from a YAML file.

    Args:
        path: of the file.
        base: what it does not name is as there; None takes the defaults.

    Raises:
        ConfigError: no such file, not YAML, or a wrong setting.
    """
    try:
        tree = plain(text_of(path))
        tree = {} if tree is None else tree
        return parse(_over(base, tree) if base and isinstance(tree, Mapping) else tree, path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); check the path") from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path}: is not YAML ({' '.join(str(error).split())}); see `pssr config`"
        ) from error


def _over(base: Config, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of a config with some settings replaced; sections are entered, parts and losses replaced whole."""
    whole = base.model_dump(mode="json")
    for name, value in tree.items():
        inside = isinstance(value, Mapping) and name in ("data", "train")
        whole[name] = {**whole[name], **value} if inside else value
    return whole


def _explained(error: ValidationError) -> str:
    """The first thing pydantic found, as `setting: what is wrong; what to do`."""
    first = error.errors()[0]
    path = cut(".".join(str(word) for word in first["loc"]))
    if first["type"] == "extra_forbidden":
        sections: dict[object, type[BaseModel]] = {"data": Data, "train": Train}
        known = (
            sections.get(first["loc"][0], Config).model_fields
            if len(first["loc"]) > 1
            else Config.model_fields
        )
        return f"{path}: no such setting; {did_you_mean(str(first['loc'][-1]), known)}"
    why = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        # Of our own: it says itself what to do.
        return f"{path}: {why}"
    return f"{path}: {shortened(first['input'])} will not do ({why[:1].lower()}{why[1:]}); see `pssr config`"


def _commented(model: type[BaseModel], tree: Mapping[str, Any], indent: int) -> list[str]:
    pad, lines = "  " * indent, []
    for name, info in model.model_fields.items():
        lines.append(f"{pad}# {info.description}")
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            lines += [f"{pad}{name}:", *_commented(inner, tree[name], indent + 1)]
        else:
            flow = None if name == "crappifier" else True
            dumped = yaml.safe_dump({name: tree[name]}, default_flow_style=flow, sort_keys=False, width=1000)
            text = dumped.strip().removeprefix("{").removesuffix("}") if flow else dumped.strip()
            lines += [pad + line for line in text.splitlines()]
    return lines
