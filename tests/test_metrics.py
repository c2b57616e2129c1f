import numpy as np
import pytest

from train.metrics import classification_scores, pixel_counts, segmentation_scores

NOTHING = {"images": 0, "iou_pooled": None, "iou_mean_per_image": None, "dice_mean_per_image": None}


def test_pixels_are_counted_as_true_and_false_positive_and_false_negative():
    prediction = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    truth = np.array([[1, 1, 0, 0], [0, 0, 0, 1]], bool)
    assert pixel_counts(prediction, truth) == (2, 2, 1)
    assert pixel_counts(truth, prediction) == (2, 1, 2)
    assert pixel_counts(prediction, ~prediction) == (0, 4, 4)


def test_segmentation_scores_are_those_worked_out_by_hand():
    # IoU 6/10 and 1/4, pooled 7/14; Dice 12/16 and 2/5
    assert segmentation_scores(np.array([[6, 2, 2], [1, 0, 3]])) == {
        "images": 2,
        "iou_pooled": 0.5,
        "iou_mean_per_image": pytest.approx(0.425),
        "dice_mean_per_image": pytest.approx(0.575),
    }


def test_pooled_scores_weigh_pixels_and_mean_scores_weigh_images():
    scores = segmentation_scores(np.array([[900, 0, 0], [0, 50, 50]]))
    assert (scores["iou_pooled"], scores["iou_mean_per_image"], scores["dice_mean_per_image"]) == (0.9, 0.5, 0.5)


def test_images_with_a_blank_true_mask_take_no_part():
    drawn = [[6, 2, 2], [1, 0, 3]]
    assert segmentation_scores(np.array([[0, 99, 0], *drawn, [0, 0, 0]])) == segmentation_scores(np.array(drawn))


@pytest.mark.parametrize("counts", [np.zeros((0, 3), int), np.array([[0, 5, 0], [0, 0, 0]])])
def test_without_a_drawn_mask_there_is_no_score(counts):
    assert segmentation_scores(counts) == NOTHING


def test_more_pixels_than_fit_in_32_bits_are_counted_right():
    scores = segmentation_scores(np.array([[2**31, 2**31, 0]] * 3))
    assert (scores["iou_pooled"], scores["dice_mean_per_image"]) == (0.5, pytest.approx(2 / 3))


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


def test_one_call_leaves_nothing_behind_for_the_next():
    first = segmentation_scores(np.array([[6, 2, 2]]))
    segmentation_scores(np.array([[1, 0, 3]]))
    assert segmentation_scores(np.array([[6, 2, 2]])) == first
