"""`pssr demo`."""

from pathlib import Path
from typing import Annotated

import typer

from pssr.cli.options import Axes, Channel, Missing, Phase, Scene, Series
from pssr.cli.stopping import between_events


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for all it makes")] = Path("demo"),
    data: Annotated[
        list[Path] | None, typer.Option(help="your own high-resolution stack or folder; may be repeated")
    ] = None,
    channel: Channel = None,
    scene: Scene = None,
    axes: Axes = None,
    series: Series = None,
    phase: Phase = None,
    missing: Missing = None,
    train_time: Annotated[
        float, typer.Option(help="seconds of training for each of the two networks")
    ] = 110.0,
    seed: Annotated[int, typer.Option(help="of every random draw")] = 0,
) -> None:
    """See the whole method in a few minutes: train, restore an unseen movie, compare with the truth.

    Without --data it simulates living tubules. It prints one table and writes restored.ome.tif, restored.mp4
    and comparison.png.

    \b
    pssr demo -o demo
    pssr demo --data mito.czi --channel mito -o demo_mito
    """
    # Imported here because torch takes seconds, and `pssr --help` must not wait for it.
    from contextlib import closing

    from pssr.api import movies
    from pssr.cli.show import report, stages
    from pssr.demo import Stage, Table, run
    from pssr.io.open import Choices

    table = None
    choices = Choices(scene=scene, axes=axes, series=series, phase=phase, missing=missing)
    own = movies(data, channel=channel, **choices) if data else ()
    events = run(out, own, train_s=train_time, seed=seed)
    with between_events() as check, stages() as show, closing(events):
        for event in events:
            check()
            match event:
                case Stage():
                    show(event.name, event.share)
                case Table():
                    table = event
    assert table is not None
    print(f"{'':<26}{'PSNR dB':>9}{'SSIM':>8}{'flicker':>9}{'texture':>9}")
    for name, s in table.scores.items():
        print(f"{name:<26}{s.psnr_db:>9.2f}{s.ssim:>8.3f}{s.flicker:>9.4f}{s.texture:>9.2f}")
    print(
        "PSNR, SSIM: nearness to the truth. flicker: change of a still scene from frame to frame, 0 is steady."
    )
    print("texture: high-frequency energy against the truth's, 1 is right.")
    for path in table.files:
        report(str(path))
    report(
        f"in napari (extra napari): napari {out / 'low.ome.tif'} {out / 'restored.ome.tif'} --plugin pssr-toolkit, "
        f"and in Restore the model {out / 'runs' / 'movie'}"
    )
