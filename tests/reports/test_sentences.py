"""The words in which the page, the PDF and the table say what all classifiers come to."""

import pytest

from hub_models.reports.sentences import agreement, headline


@pytest.mark.parametrize(
    ("classes", "decided", "said"),
    [
        (["Normal"], True, "Normal"),
        (["COVID-19", "Non-COVID"], False, "Undecided: COVID-19 or Non-COVID"),
        (["A", "B", "C"], False, "Undecided: A or B or C"),
        (["Normal"], False, "Undecided"),
    ],
)
def test_the_headline_names_a_class_only_where_it_is_decided(classes, decided, said):
    assert headline(classes, decided) == said


@pytest.mark.parametrize(
    ("classes", "agree", "of", "said"),
    [
        (["Normal"], 4, 4, "4 of 4 classifiers agree."),
        (["Normal"], 3, 4, "3 of 4 classifiers agree."),
        (["A", "B"], 3, 4, "3 of 4 classifiers agree on A."),
        (["A", "B"], 1, 4, "The classifiers do not agree: only one of 4 prefers A."),
        (["A"], 1, 1, "Only one classifier answered about these classes."),
    ],
)
def test_it_is_said_how_many_agree_and_on_what(classes, agree, of, said):
    assert agreement(classes, agree, of) == said
