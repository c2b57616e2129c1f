"""The metrics of classes and of their probabilities, worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics

from train.scoring.class_metrics import (
    calibration_error,
    classification_scores,
    mcnemar,
    score_classes,
    score_findings,
    score_probabilities,
)

NAN = [np.nan, np.nan]


def test_classification_scores_are_those_worked_out_by_hand():
    predictions, references = np.array([0, 0, 1, 1, 0, 2]), np.array([0, 0, 0, 1, 1, 2])
    assert classification_scores(predictions, references, 3) == {
        "accuracy": pytest.approx(4 / 6),
        "precision_macro": pytest.approx((2 / 3 + 1 / 2 + 1) / 3),
        "recall_macro": pytest.approx((2 / 3 + 1 / 2 + 1) / 3),
        "f1_macro": pytest.approx((2 / 3 + 1 / 2 + 1) / 3),
        "precision_per_class": pytest.approx([2 / 3, 1 / 2, 1]),
        "recall_per_class": pytest.approx([2 / 3, 1 / 2, 1]),
        "f1_per_class": pytest.approx([2 / 3, 1 / 2, 1]),
        "confusion": [[2, 1, 0], [1, 1, 0], [0, 0, 1]],  # a row a true class
    }


def test_precision_and_recall_are_not_mixed_up():
    scores = classification_scores(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), 2)
    assert scores["precision_per_class"] == pytest.approx([1 / 3, 1])
    assert scores["recall_per_class"] == pytest.approx([1, 1 / 3])
    assert scores["f1_per_class"] == pytest.approx([0.5, 0.5])
    assert scores["confusion"] == [[1, 0], [2, 1]]


def test_a_prediction_of_minus_one_is_wrong_and_no_class_of_its_own():
    scores = classification_scores(np.array([-1, 0, -1, 1]), np.array([0, 0, 1, 1]), 2)
    assert (scores["accuracy"], scores["precision_macro"], scores["recall_macro"]) == (0.5, 1.0, 0.5)
    assert scores["f1_macro"] == pytest.approx(2 / 3)
    assert scores["confusion"] == [[1, 0], [0, 1]]


def test_a_class_that_is_neither_there_nor_predicted_counts_as_zero_in_the_mean():
    scores = classification_scores(np.array([0, 1]), np.array([0, 1]), 3)
    assert (scores["accuracy"], scores["f1_per_class"]) == (1.0, [1.0, 1.0, 0.0])
    assert scores["f1_macro"] == pytest.approx(2 / 3)


def test_auroc_is_the_share_of_pairs_in_the_right_order_and_average_precision_falls_with_each_error():
    first = np.array([0.9, 0.4, 0.6, 0.1])  # of class 0: right, right, wrong, wrong
    scores = score_probabilities(np.stack([first, 1 - first], axis=1), np.array([0, 0, 1, 1]))
    assert scores["auroc_per_class"] == [0.75, 0.75]
    assert scores["average_precision_per_class"] == pytest.approx([(1 + 2 / 3) / 2, (1 + 2 / 3) / 2])
    assert scores["auroc_macro"] == 0.75
    assert scores["brier"] == pytest.approx(2 * (0.01 + 0.36 + 0.36 + 0.01) / 4)


def test_an_image_without_an_answer_ranks_last_and_is_left_out_of_calibration():
    scores = score_probabilities(np.array([[0.9, 0.1], NAN, [0.2, 0.8]]), np.array([0, 0, 1]))
    assert scores["auroc_per_class"] == [0.5, 1.0]  # of class 0: 0.9 over 0.2, 0 under it
    assert scores["brier"] == pytest.approx((0.02 + 0.08) / 2)
    assert scores["ece"] == pytest.approx((0.1 + 0.2) / 2)


def test_a_class_without_an_image_has_no_ranking_and_is_left_out_of_the_mean():
    scores = score_probabilities(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]), np.array([0, 1]))
    assert scores["auroc_per_class"] == [1.0, 1.0, None]
    assert scores["auroc_macro"] == 1.0
    nothing = score_probabilities(np.array([NAN]), np.array([0]))
    assert (nothing["auroc_macro"], nothing["brier"], nothing["ece"]) == (None, None, None)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy():
    sure = np.full(300, 0.8)
    answers = np.stack([sure, 1 - sure], axis=1)
    right = np.arange(300) % 5 > 0  # 80 % of them
    assert calibration_error(answers, np.where(right, 0, 1)) == pytest.approx(0.0, abs=1e-9)
    half = np.arange(300) % 2
    assert calibration_error(answers, half) == pytest.approx(0.3)


def test_mcnemar_counts_only_what_one_of_the_two_has_right():
    first = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1], bool)
    second = np.array([0, 0, 0, 0, 0, 1, 1, 0, 1], bool)
    assert mcnemar(first, second) == {"only_first": 5, "only_second": 1, "p": pytest.approx(2 * 7 / 64)}
    assert mcnemar(first, first) == {"only_first": 0, "only_second": 0, "p": 1.0}


def test_findings_are_ranked_each_for_itself():
    answers = np.array([[0.9, 0.2], [0.4, 0.7], [0.6, 0.1], [np.nan, np.nan]])
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 0]])
    scores = score_findings(answers, targets)
    assert scores["auroc_per_class"] == [0.75, 1.0]
    assert scores["auroc_macro"] == 0.875
    assert scores["images_per_class"] == [2, 1]


def test_all_scores_are_those_of_scikit_learn_ties_and_unanswered_images_too():
    rng = np.random.default_rng(3)
    answers = rng.dirichlet(np.ones(4), 200).round(1)  # many ties
    references, predictions = rng.integers(4, size=200), rng.integers(-1, 4, size=200)
    true = np.eye(4)[references]
    ranked = score_probabilities(answers, references)
    assert ranked["auroc_per_class"] == pytest.approx(metrics.roc_auc_score(true, answers, average=None).tolist())
    expected = metrics.average_precision_score(true, answers, average=None).tolist()
    assert ranked["average_precision_per_class"] == pytest.approx(expected)
    scores = score_classes(predictions, references, 4)
    options = {"labels": range(4), "zero_division": 0}
    each = metrics.precision_recall_fscore_support(references, predictions, **options)[:3]
    for name, values in zip(("precision", "recall", "f1"), each, strict=True):
        assert scores[f"{name}_per_class"] == pytest.approx(values.tolist())
    assert scores["confusion"] == metrics.confusion_matrix(references, predictions, labels=range(4)).tolist()
    assert scores["accuracy"] == metrics.accuracy_score(references, predictions)
