"""What a person is told: in one sentence, as a notification of napari."""

import re

from napari.utils.notifications import notification_manager, show_error, show_info, show_warning

from pssr import PssrError

OTHER_WAYS = re.compile(r",? or (say )?[a-z_]+=\S+ \(--[a-z-]+\)")


def tell_error(error: BaseException) -> None:
    """What went wrong: ours in a sentence, others with all that napari can show.

    Args:
        error: that was raised.
    """
    if isinstance(error, PssrError):
        show_error(_sentence(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)


def tell_warning(message: str) -> None:
    """Something that may make pixels less worth believing."""
    show_warning(message)


def tell(message: str) -> None:
    """Something to know."""
    show_info(message)


def _sentence(error: PssrError) -> str:
    # What only the command line and Python can do.
    return OTHER_WAYS.sub("", " ".join(str(error).split()))
