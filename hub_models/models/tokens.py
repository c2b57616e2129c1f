"""Sentences as the numbers that a text tower reads, by a saved tokenizer and without transformers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from hub_models.models.saved import read_json

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"


class SavedTokenizer:
    """The tokenizer of a CLIP's folder.

    Attributes:
        limit: the greatest number of tokens of a sentence, those that begin and end it included.
    """

    def __init__(self, folder: str | Path, positions: int) -> None:
        """Read a folder; `positions` is the number of tokens that the text tower has places for.

        Raises:
            ValueError: if the folder holds no tokenizer.
        """
        path = Path(folder, TOKENIZER)
        if not path.is_file():
            raise ValueError(f"{folder} holds no {TOKENIZER}, which says how sentences are read.")
        self._tokenizer = Tokenizer.from_file(str(path))
        settings = read_json(path.with_name(SETTINGS)) if path.with_name(SETTINGS).is_file() else {}
        self.limit = int(min(settings.get("model_max_length") or positions, positions))
        padding = settings.get("pad_token")
        padding = padding["content"] if isinstance(padding, dict) else padding  # an added token, or its text
        if padding is None or (number := self._tokenizer.token_to_id(padding)) is None:
            raise ValueError(f"{SETTINGS} in {folder} names no padding; sentences of different length need it.")
        self._tokenizer.enable_truncation(self.limit)
        self._tokenizer.enable_padding(pad_id=number, pad_token=padding)

    def __call__(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Token ids and attention mask, int64 (N, L) each, of N sentences."""
        encoded = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": np.array([each.ids for each in encoded], np.int64),
            "attention_mask": np.array([each.attention_mask for each in encoded], np.int64),
        }
