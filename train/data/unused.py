"""Files and rows of a data set that are not used: counted, and named with the reason."""

import logging
from collections.abc import Iterable
from pathlib import Path

from hub_models.xray.formats import BEGINNING_BYTES, ENDINGS, format_of

logger = logging.getLogger(__name__)

NAMED = 5
"""How many are named of those that share a reason."""


def report_unused(reason: str, names: Iterable[object]) -> None:
    """Log how many files or rows are not used for a reason, and the first of them; nothing for none."""
    names = [str(name) for name in names]
    if names:
        more = ", ..." if len(names) > NAMED else ""
        logger.warning("Not used, %d: %s (%s%s).", len(names), reason, ", ".join(names[:NAMED]), more)


def is_picture(path: Path) -> bool:
    """Return whether a file is of a format of X-rays, by its ending or, without one, by its first bytes."""
    if path.suffix:
        return path.suffix.lower() in ENDINGS
    with path.open("rb") as stream:
        return format_of(stream.read(BEGINNING_BYTES)) is not None
