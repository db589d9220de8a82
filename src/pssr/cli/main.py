"""The command `pssr`: words in, one call of the package, lines out."""

import signal
import sys

import typer

from pssr.cli.calibrate import calibrate
from pssr.cli.config import config
from pssr.cli.demo import demo
from pssr.cli.info import info
from pssr.cli.predict import predict
from pssr.cli.preview import preview
from pssr.cli.runs import runs
from pssr.cli.stopping import SIGNALS, leave
from pssr.cli.train import train
from pssr.cli.words import as_options
from pssr.errors import ChoiceNeeded, ConfigError, PssrError

EPILOG = "Every command has examples: pssr train --help. With --debug, an error shows where it came from."

app = typer.Typer(
    name="pssr",
    help="Restore fast, noisy, low-resolution point-scanning movies, having seen high-resolution ones.",
    epilog=EPILOG,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (train, runs, predict, info, calibrate, preview, config, demo):
    app.command()(command)


def main() -> None:
    """Run the command line; exit with 0, 1 for a failure, 2 for a wrong command, 130 or 143 when stopped."""
    for number in SIGNALS:
        signal.signal(number, leave)
    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv) - 1
    sys.exit(_run(words, debug))


def _run(words: list[str], debug: bool) -> int:
    try:
        app(words, prog_name="pssr")
    except PssrError as error:
        if debug:
            raise
        print(f"pssr: {as_options(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError | ChoiceNeeded) else 1
    except SystemExit as end:
        if end.code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            again = "; run the same command again to go on" if words[:1] in (["train"], ["predict"]) else ""
            print(f"pssr: stopped{again}", file=sys.stderr)
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if debug:
            raise
        print(f"pssr: unexpected {type(error).__name__}: {error}; run it again with --debug", file=sys.stderr)
        return 1
    return 0
