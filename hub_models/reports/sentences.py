"""Sentences and words that the page and the PDF report share."""

SIDES = "The patient faces you: their left lung is on the right of the picture."
GRADE = """Grade: the extent of one lung by the rule of Wong et al., Radiology 296 (2020): 0 none, 1 under 25 %, 2 from
25 to 50 %, 3 from 50 to 75 %, 4 more. Readers grade by eye; this grade only repeats the share."""
NOT_A_RISK = """the chance that this person is ill. It says how strongly a model prefers one class to the others, and
adds up to 100 % for any picture, also of a disease outside the list."""
"""What follows "What a probability here is not:"."""


def percent(share: float | None) -> str:
    """Write a share of a lung, 0..1, as "12.3 %"; None, a lung that is not there, as "not found"."""
    return "not found" if share is None else f"{100 * share:.1f} %"
