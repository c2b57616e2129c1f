"""Sentences and words that the page, the reports and the table of a batch share."""

from collections.abc import Sequence

from hub_models.xray.masks import grade_extent

SIDES = "The patient faces you: their left lung is on the right of the picture."
GRADE = """Grade: how much of a lung is outlined as infected, from 0 (none) to 4. Exactly, 1 is under 25 %, 2 is 25 to
50 %, 3 is 50 to 75 % and 4 is more, after Wong et al., Radiology 296 (2020), whose readers grade by eye; this grade
only repeats the share."""
RANGE = "A share is a range where a slight turn of the film, or a little more or less light, changes it."
PROBABILITY_IS_NOT = "What a probability here is not:"
NOT_A_RISK = """the chance that this person is ill. It says how strongly a model prefers one class to the others, and
adds up to 100 % for any picture, also of a disease outside the list."""
"""The end of the sentence that `PROBABILITY_IS_NOT` begins."""
UNLIKE_MOST = "It is unlike most X-rays that the models learned from, so nothing is decided."


def headline(classes: Sequence[str], decided: bool) -> str:
    """Write what all classifiers say together: "Normal", "Undecided: COVID-19 or Non-COVID", or "Undecided".

    Args:
        classes: those of the conclusion, one at least.
        decided: whether the conclusion decides for the one class.
    """
    if decided:
        return classes[0]
    return f"Undecided: {' or '.join(classes)}" if len(classes) > 1 else "Undecided"


def agreement(classes: Sequence[str], agree: int, of: int) -> str:
    """Write how many classifiers prefer the same class, and which one where several are not told apart.

    Args:
        classes: those of the conclusion, one at least.
        agree: number of classifiers that prefer the first of them.
        of: number of classifiers that were asked about these classes.
    """
    if of == 1:
        return "Only one classifier answered about these classes."
    if agree == 1:
        return f"The classifiers do not agree: only one of {of} prefers {classes[0]}."
    return f"{agree} of {of} classifiers agree{f' on {classes[0]}' if len(classes) > 1 else ''}."


def percent(share: float) -> str:
    """Write a share, 0..1, as "12.3 %"."""
    return f"{100 * share:.1f} %"


def share_range(share: float | None, ends: Sequence[float] | None = None) -> str:
    """Write the infected share of a lung.

    Args:
        share: 0..1; None for a lung that is not there.
        ends: its lowest and highest value over several views, 0..1; none if it was measured once.

    Returns:
        "20 to 35 %", "12 %" where both ends round to it, or "not found".
    """
    if share is None:
        return "not found"
    low, high = (round(100 * end) for end in ends or (share, share))
    return f"{low} %" if low == high else f"{low} to {high} %"


def grade_range(share: float | None, ends: Sequence[float] | None = None) -> str:
    """Write the grade of extent of a lung as "2" or "1 to 2" (of 4), or "-" for a lung that is not there."""
    if share is None:
        return "-"
    low, high = map(grade_extent, ends or (share, share))
    return str(low) if low == high else f"{low} to {high}"
