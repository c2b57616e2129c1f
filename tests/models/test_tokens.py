"""Sentences as numbers without transformers: those of the saved tokenizers."""

import json

import numpy as np
import pytest
from transformers import AutoTokenizer

from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.tokens import SavedTokenizer

SENTENCES = ["a chest X-ray", "lungs " * 300, "É ünï — 中文, foo-bar <|endoftext|> [CLS]", ""]


@pytest.mark.parametrize("which", ["embedded", "tiny"])
@pytest.mark.parametrize("count", [1, 4])
def test_tokens_are_those_of_the_saved_tokenizer(checkpoints, which, count):
    role = "clip-finetuned"
    folder, positions = (EMBEDDED / role, 512) if which == "embedded" else (checkpoints[role], 77)
    tokenizer, saved = AutoTokenizer.from_pretrained(folder), SavedTokenizer(folder, positions)
    limit = min(tokenizer.model_max_length, positions)
    texts = SENTENCES[:count]
    wanted = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="np")
    found = saved(texts)
    assert saved.limit == limit
    assert list(found) == ["input_ids", "attention_mask"]
    for name, array in found.items():
        assert array.dtype == np.int64
        assert np.array_equal(array, wanted[name]), name


def test_a_folder_without_a_tokenizer_or_without_padding_is_refused(checkpoints, tmp_path):
    with pytest.raises(ValueError, match=r"holds no tokenizer\.json"):
        SavedTokenizer(tmp_path, 77)
    (tmp_path / "tokenizer.json").write_bytes((checkpoints["clip-finetuned"] / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 77}))
    with pytest.raises(ValueError, match=r"names no padding"):
        SavedTokenizer(tmp_path, 77)
