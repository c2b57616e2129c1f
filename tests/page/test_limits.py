"""What one visitor may ask for at once."""

import pytest

from hub_models.page import limits
from hub_models.page.limits import files_problem, images_problem, prompts_problem


def test_what_fits_is_no_problem():
    classes = {f"class {number}": ["a sentence"] * 5 for number in range(limits.CLASSES)}
    assert prompts_problem(classes) is None
    assert prompts_problem({"Ill": ["x" * limits.SENTENCE_CHARACTERS]}) is None
    assert files_problem(limits.BATCH_FILES) is None
    assert images_problem(limits.BATCH_IMAGES) is None


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ({str(number): ["a"] for number in range(4000)}, "There are 4,000 classes; at most 20 are compared"),
        ({"Ill": ["a"] * 101}, "There are 101 sentences; at most 100 are compared"),
        ({"Ill": ["x" * 301]}, "A sentence has 301 characters; CLIP reads at most 300"),
        ({"x" * 61: ["a"]}, "A class's name has 61 characters; at most 60"),
    ],
)
def test_each_limit_has_a_sentence_that_says_what_was_given_and_what_is_allowed(prompts, sentence):
    assert prompts_problem(prompts).startswith(sentence)


def test_a_batch_is_bounded_by_its_files_and_by_what_archives_hold():
    assert files_problem(201).startswith("There are 201 files; one batch takes at most 200")
    assert images_problem(501).startswith("There are 501 X-rays; one batch here takes at most 500")
