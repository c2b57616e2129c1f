"""What the classifiers say of an X-ray together: one class, or undecided and why."""

from types import SimpleNamespace

import pytest

from hub_models.checkpoints.roles import ANSWERING, ROLES
from hub_models.models.calibration import Calibration
from hub_models.models.conclusion import UNLIKE_FROM, Conclusion, conclude

PROMPTS = {"A": ["an a"], "B": ["a b"], "C": ["a c"]}
FITTED, UNFITTED = Calibration(least=0.25), Calibration()


def sure_of(first: str, second: str | None = None) -> dict[str, float]:
    """Probabilities of A, B and C: one class far ahead, or a second in its prediction set."""
    return {
        label: {first: 0.6 if second else 0.9, second: 0.3}.get(label, 0.1 if second else 0.05) for label in PROMPTS
    }


def classifier(calibration: Calibration = FITTED, multi_label: bool = False) -> SimpleNamespace:
    return SimpleNamespace(calibration=calibration, multi_label=multi_label, prompts=PROMPTS)


WIDENED = Calibration(least=0.25, least_elsewhere=0.08)
CLASSIFIERS = {role: classifier() for role in ANSWERING}


def answers(**given: str | tuple[str, str] | dict[str, float]) -> dict[str, dict[str, float]]:
    """Role -> probabilities, from a class, two classes, or the probabilities themselves."""
    names = {"zero_shot": "clip-zero-shot", "finetuned": "clip-finetuned"}
    return {
        names.get(role, role): said
        if isinstance(said, dict)
        else sure_of(*said if isinstance(said, tuple) else (said,))
        for role, said in given.items()
    }


RULE = {
    "all say the same": (answers(zero_shot="A", finetuned="A", resnet="A", fusion="A"), "A", 4, 4),
    "the zero-shot CLIP alone says otherwise": (
        answers(zero_shot="B", finetuned="A", resnet="A", fusion="A"),
        "A",
        3,
        4,
    ),
    "a set of two": (answers(zero_shot="A", finetuned=("A", "B"), resnet="A", fusion="A"), "AB", 4, 4),
    "the second of the set is the others' first": (answers(finetuned=("B", "A"), resnet="A", fusion="A"), "BA", 1, 3),
    "the ResNet's class is not in the set": (answers(zero_shot="A", resnet="C", fusion="A"), "AC", 2, 3),
    "each trained one adds its class": (answers(finetuned="A", resnet="B", fusion="C"), "ABC", 1, 3),
    "two add the same": (answers(finetuned="A", resnet="B", fusion="B"), "AB", 1, 3),
    "another's set of two adds its first class alone": (answers(resnet=("A", "C"), fusion="A"), "A", 2, 2),
    "the fine-tuned CLIP is before the fusion": (answers(finetuned="B", fusion=("B", "C")), "B", 2, 2),
    "without a fine-tuned CLIP, the fusion": (answers(zero_shot="C", resnet="A", fusion=("A", "B")), "AB", 2, 3),
    "then the ResNet": (answers(zero_shot=("B", "C"), resnet="A"), "A", 1, 2),
    "then the zero-shot CLIP": (answers(zero_shot=("B", "C")), "BC", 1, 1),
    "other classes take no part": (answers(zero_shot={"Ill": 0.9, "Well": 0.1}, resnet="A", fusion="A"), "A", 2, 2),
    "nor do more classes": (answers(resnet=sure_of("B") | {"D": 0.0}, fusion="A"), "A", 1, 1),
    "the order of the classes does not matter": (
        answers(resnet={"C": 0.1, "B": 0.8, "A": 0.1}, fusion="A"),
        "AB",
        1,
        2,
    ),
}


@pytest.mark.parametrize(("said", "classes", "agree", "of"), RULE.values(), ids=RULE)
def test_the_conclusion_starts_from_one_set_and_the_trained_ones_add_to_it(said, classes, agree, of):
    for order in (said, dict(reversed(said.items()))):
        found = conclude(order, CLASSIFIERS)
        assert (found.classes[0], set(found.classes)) == (classes[0], set(classes))
        assert len(found.classes) == len(classes)
        assert (found.agree, found.of, found.unlike) == (agree, of, False)
        assert found.decided == (len(classes) == 1)


@pytest.mark.parametrize(
    ("strangeness", "unlike"),
    [(None, False), (0.0, False), (0.799, False), (UNLIKE_FROM, True), (0.9, True), (3, True)],
)
def test_nothing_is_decided_about_a_picture_that_is_unlike_the_others(strangeness, unlike):
    found = conclude(answers(resnet="A", fusion="A"), CLASSIFIERS, strangeness=strangeness)
    assert (found.classes, found.unlike, found.decided) == (("A",), unlike, not unlike)


def test_what_counts_as_unlike_begins_before_what_is_refused():
    assert 0 < UNLIKE_FROM < 1


def test_the_set_is_the_one_for_hospitals_that_were_not_learned_from_and_others_add_one_class():
    said = answers(finetuned={"A": 0.8, "B": 0.1, "C": 0.1}, fusion={"C": 0.8, "B": 0.1, "A": 0.1})
    assert conclude(said, CLASSIFIERS).classes == ("A", "C")
    assert conclude(said, CLASSIFIERS | {"fusion": classifier(WIDENED)}).classes == ("A", "C")
    assert conclude(said, CLASSIFIERS | {"clip-finetuned": classifier(WIDENED)}).classes == ("A", "B", "C")
    assert conclude(answers(finetuned="A"), CLASSIFIERS | {"clip-finetuned": classifier(WIDENED)}).classes == ("A",)


def test_without_a_calibration_the_set_has_one_class():
    unfitted = CLASSIFIERS | {"clip-finetuned": classifier(UNFITTED)}
    said = answers(resnet="A", finetuned=("A", "B"))
    assert conclude(said, CLASSIFIERS).classes == ("A", "B")
    assert conclude(said, unfitted).classes == ("A",)


def test_a_calibration_of_a_zero_shot_clips_own_sentences_does_not_hold_for_others():
    said = answers(zero_shot=("A", "B"))
    assert conclude(said, CLASSIFIERS, PROMPTS).classes == ("A", "B")
    assert conclude(said, CLASSIFIERS, {"A": ["a"], "B": ["b"], "C": ["c"]}).classes == ("A",)


def test_a_visitors_own_classes_are_concluded_from_where_nothing_else_answered():
    found = conclude(answers(zero_shot={"Ill": 0.7, "Well": 0.3}), CLASSIFIERS, {"Ill": ["ill"], "Well": ["well"]})
    assert found == Conclusion(("Ill",), 1, 1)


def test_one_that_may_name_several_labels_at_once_takes_no_part():
    several = CLASSIFIERS | {"fusion": classifier(multi_label=True)}
    assert conclude(answers(resnet="A", fusion="B"), several) == Conclusion(("A",), 1, 1)
    assert conclude(answers(fusion="B"), several) is None


def test_without_an_answer_there_is_no_conclusion():
    assert conclude({}, CLASSIFIERS) is None


def test_every_classifiers_role_may_answer():
    assert sorted(ANSWERING) == sorted(name for name, role in ROLES.items() if role.family != "unet")


def test_it_is_described_for_json():
    told = {"classes": ["A", "B"], "decided": False, "agree": 1, "of": 3, "unlike": False}
    assert Conclusion(("A", "B"), 1, 3).describe() == told
    assert Conclusion(("A",), 4, 4).describe()["decided"] is True
