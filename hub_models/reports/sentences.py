"""Sentences and words that the page and the PDF report share."""

SIDES = "The patient faces you: their left lung is on the right of the picture."
GRADE = """Grade: how much of a lung is outlined as infected, from 0 (none) to 4. Exactly, 1 is under 25 %, 2 is 25 to
50 %, 3 is 50 to 75 % and 4 is more, after Wong et al., Radiology 296 (2020), whose readers grade by eye; this grade
only repeats the share."""
NOT_A_RISK = """the chance that this person is ill. It says how strongly a model prefers one class to the others, and
adds up to 100 % for any picture, also of a disease outside the list."""
"""The end of the sentence that begins with "What a probability here is not:"."""


def percent(share: float | None) -> str:
    """Write a share of a lung, 0..1, as "12.3 %"; None, a lung that is not there, as "not found"."""
    return "not found" if share is None else f"{100 * share:.1f} %"
