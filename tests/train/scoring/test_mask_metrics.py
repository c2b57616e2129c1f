import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from train.scoring.mask_metrics import (
    AVERAGES,
    HISTOGRAM_BINS,
    OUTLINE_SCORES,
    average_precision,
    hausdorff95,
    pixel_counts,
    probability_histogram,
    score_healthy,
    score_pixels,
    segmentation_scores,
)

HALF = np.array([[1, 1, 0, 0]] * 4, bool)


def of(scores: dict, average: str) -> list[float]:
    """IoU, Dice, precision and recall in one of the averages."""
    return [scores[f"{name}_{average}"] for name in OUTLINE_SCORES]


def test_pixels_are_counted_as_true_and_false_positive_and_false_negative():
    prediction = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    truth = np.array([[1, 1, 0, 0], [0, 0, 0, 1]], bool)
    assert pixel_counts(prediction, truth) == (2, 2, 1)
    assert pixel_counts(truth, prediction) == (2, 1, 2)
    assert pixel_counts(prediction, ~prediction) == (0, 4, 4)


def test_segmentation_scores_are_those_worked_out_by_hand():
    # 6 of 8 outlined pixels are right and 6 of 8 drawn ones found; of the second image 1 of 1 and 1 of 4
    scores = segmentation_scores(np.array([[6, 2, 2], [1, 0, 3]]))
    assert set(scores) == {"images", "images_all", *(f"{n}_{a}" for n in OUTLINE_SCORES for a in AVERAGES)}
    assert (scores["images"], scores["images_all"]) == (2, 2)
    for average in ("pooled", "pooled_all_images"):
        assert of(scores, average) == pytest.approx([7 / 14, 14 / 21, 7 / 9, 7 / 12])
    for average in ("mean_per_image", "mean_all_images"):
        assert of(scores, average) == pytest.approx(
            [(6 / 10 + 1 / 4) / 2, (12 / 16 + 2 / 5) / 2, (6 / 8 + 1) / 2, (6 / 8 + 1 / 4) / 2]
        )


def test_pooled_scores_weigh_pixels_and_mean_scores_weigh_images():
    scores = segmentation_scores(np.array([[900, 0, 0], [0, 50, 50]]))
    assert (scores["iou_pooled"], scores["iou_mean_per_image"], scores["dice_mean_per_image"]) == (0.9, 0.5, 0.5)


def test_images_with_a_blank_true_mask_take_no_part_but_in_the_averages_over_all_images():
    drawn = np.array([[6, 2, 2], [1, 0, 3]])
    scores, without = segmentation_scores(np.array([[0, 99, 0], *drawn, [0, 0, 0]])), segmentation_scores(drawn)
    assert (scores["images"], scores["images_all"]) == (2, 4)
    for average in ("pooled", "mean_per_image"):
        assert of(scores, average) == of(without, average)


def test_false_pixels_on_a_blank_mask_count_in_the_pooled_scores_of_all_images():
    scores = segmentation_scores(np.array([[6, 2, 2], [0, 4, 0], [0, 0, 0]]))
    assert of(scores, "pooled_all_images") == pytest.approx([6 / 14, 12 / 20, 6 / 12, 6 / 8])
    assert of(scores, "pooled") == pytest.approx([6 / 10, 12 / 16, 6 / 8, 6 / 8])


def test_a_blank_mask_answered_blank_counts_one_and_answered_with_anything_zero():
    drawn, answered_blank, answered = [6, 2, 2], [0, 0, 0], [0, 1, 0]
    expected = np.array([6 / 10, 12 / 16, 6 / 8, 6 / 8])
    scores = segmentation_scores(np.array([drawn, answered_blank]))
    assert of(scores, "mean_all_images") == pytest.approx((expected + 1) / 2)
    scores = segmentation_scores(np.array([drawn, answered]))
    assert of(scores, "mean_all_images") == pytest.approx(expected / 2)
    scores = segmentation_scores(np.array([drawn, answered_blank, answered, answered_blank]))
    assert of(scores, "mean_all_images") == pytest.approx((expected + 2) / 4)
    assert of(scores, "mean_per_image") == pytest.approx(expected)


def test_an_empty_answer_to_a_drawn_mask_scores_zero_everywhere():
    scores = segmentation_scores(np.array([[0, 0, 5]]))
    for average in AVERAGES:
        assert of(scores, average) == [0.0] * 4


@pytest.mark.parametrize("counts", [np.zeros((0, 3), int), np.array([[0, 5, 0], [0, 0, 0]])])
def test_without_a_drawn_mask_there_is_no_score(counts):
    scores = segmentation_scores(counts)
    assert (scores.pop("images"), scores.pop("images_all")) == (0, len(counts))
    assert scores == {f"{name}_{average}": None for name in OUTLINE_SCORES for average in AVERAGES}
    with_histograms = score_pixels(counts, np.zeros((len(counts), 2, HISTOGRAM_BINS), int))
    assert [with_histograms[f"average_precision_{average}"] for average in AVERAGES] == [None] * 4


def test_more_pixels_than_fit_in_32_bits_are_counted_right():
    scores = segmentation_scores(np.array([[2**31, 2**31, 0]] * 3))
    assert (scores["iou_pooled"], scores["dice_mean_per_image"]) == (0.5, pytest.approx(2 / 3))


def test_a_histogram_counts_pixels_inside_and_outside_by_their_probability():
    truth = np.array([[True, True, True, False, False, False]])
    probabilities = np.array([[0.0, 1.0, 1.0, 1 / HISTOGRAM_BINS, 1.99 / HISTOGRAM_BINS, 0.5]])
    inside, outside = probability_histogram(probabilities, truth)
    assert (inside.sum(), inside[0], inside[HISTOGRAM_BINS - 1]) == (3, 1, 2)  # 1 is in the last bin
    assert (outside.sum(), outside[1], outside[HISTOGRAM_BINS // 2]) == (3, 2, 1)


@pytest.mark.parametrize("seed", range(4))
def test_the_average_precision_is_that_of_scikit_learn_on_the_sorted_probabilities(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random((20, 30)) < 0.2 + 0.2 * seed
    probabilities = (rng.random(truth.shape) * 0.7 + 0.3 * truth * rng.random(truth.shape)).astype(np.float32)
    expected = average_precision_score(truth.ravel(), (probabilities.ravel() * HISTOGRAM_BINS).astype(int))
    assert average_precision(probability_histogram(probabilities, truth)) == pytest.approx(expected, rel=1e-12)


def test_the_average_precision_is_one_where_all_inside_is_above_all_outside_and_has_no_value_without_an_inside():
    perfect = probability_histogram(np.where(HALF, 0.9, 0.1), HALF)
    constant = probability_histogram(np.full(HALF.shape, 0.5), HALF)
    nothing = probability_histogram(np.full(HALF.shape, 0.5), np.zeros_like(HALF))
    precision = average_precision(np.stack([perfect, constant, nothing]))
    assert precision[:2].tolist() == [1.0, 0.5]
    assert np.isnan(precision[2])


def test_the_average_precision_is_averaged_like_the_other_scores():
    blank = np.zeros_like(HALF)
    maps = [(np.where(HALF, 0.9, 0.1), HALF), (np.full(HALF.shape, 0.95), HALF), (np.full(HALF.shape, 0.95), blank)]
    histograms = np.stack([probability_histogram(*each) for each in maps])
    scores = score_pixels(
        np.array([pixel_counts(probabilities > 0.5, truth) for probabilities, truth in maps]), histograms
    )
    # From 0.95 up: 8 of 16 pixels of the second image are inside; from 0.9 up all 8 of the first, too
    assert scores["average_precision_pooled"] == pytest.approx(0.5 * 8 / 16 + 0.5 * 16 / 24)
    assert scores["average_precision_pooled_all_images"] == pytest.approx(0.5 * 8 / 32 + 0.5 * 16 / 40)
    assert scores["average_precision_mean_per_image"] == pytest.approx((1 + 0.5) / 2)
    assert scores["average_precision_mean_all_images"] == pytest.approx((1 + 0.5 + 0) / 3)


def line(column: int, length: int = 8, side: int = 20) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[4 : 4 + length, column] = True
    return mask


def test_hd95_of_two_lines_is_how_far_they_lie_apart_and_zero_of_one():
    assert hausdorff95(line(3), line(3)) == 0
    assert hausdorff95(line(3), line(8)) == hausdorff95(line(8), line(3)) == 5


def test_hd95_is_the_larger_of_both_directions():
    both = line(3) | line(9)
    assert hausdorff95(line(3), both) == hausdorff95(both, line(3)) == 6  # half of `both` is 6 pixels from the line


def test_hd95_leaves_out_the_five_percent_that_lie_farthest():
    truth = np.zeros((64, 64), bool)
    truth[2, :40] = True
    answer = truth.copy()
    answer[60, 10] = True  # one of 41 pixels: under five per cent
    assert hausdorff95(answer, truth) == 0
    answer[60, 10:20] = True  # ten of 50 pixels, 58 away
    assert hausdorff95(answer, truth) == 58


def test_hd95_looks_at_the_outlines_and_not_at_what_they_enclose():
    frame = np.zeros((30, 30), bool)
    frame[5:25, 5:25] = True
    hollow = frame.copy()
    hollow[6:24, 6:24] = False
    assert hausdorff95(hollow, frame) == 0
    grown = np.zeros_like(frame)
    grown[3:27, 3:27] = True
    assert 2 <= hausdorff95(grown, frame) <= np.hypot(2, 2)


def test_hd95_of_an_empty_answer_is_the_diagonal_of_the_image():
    truth = np.zeros((30, 40), bool)
    truth[10:20, 10:20] = True
    assert hausdorff95(np.zeros_like(truth), truth) == 50


def test_healthy_images_are_scored_by_what_is_marked_on_them():
    # of 1000 pixels of lungs: nothing, exactly one per cent, and more
    assert score_healthy(np.array([1000, 1000, 1000, 500]), np.array([0, 10, 11, 200])) == {
        "images": 4,
        "share_marked": 0.75,
        "share_marked_over_1_percent": 0.5,
        "mean_marked_area": pytest.approx((0 + 0.01 + 0.011 + 0.4) / 4),
    }


def test_a_healthy_image_without_found_lungs_is_no_division_by_zero():
    scores = score_healthy(np.array([0]), np.array([0]))
    assert (scores["images"], scores["share_marked"], scores["mean_marked_area"]) == (1, 0.0, 0.0)


def test_without_healthy_images_there_is_no_score_of_them():
    scores = score_healthy(np.array([], int), np.array([], int))
    assert scores == {"images": 0, "share_marked": None, "share_marked_over_1_percent": None, "mean_marked_area": None}


def test_one_call_leaves_nothing_behind_for_the_next():
    first = segmentation_scores(np.array([[6, 2, 2]]))
    segmentation_scores(np.array([[1, 0, 3]]))
    assert segmentation_scores(np.array([[6, 2, 2]])) == first
