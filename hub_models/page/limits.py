"""How much one visitor may ask for at once, and which limit is passed."""

from collections.abc import Mapping, Sequence

from hub_models.page import texts

MAX_UPLOAD_BYTES = 200_000_000
MAX_UPLOADS_BYTES = 2_000_000_000  # of one request, all its files together
MAX_REQUEST_BYTES = 2_000_000  # of a call without files; the longest prompts take a hundredth of it
MAX_TOOL_BYTES = 70_000_000  # of a call of a tool, which brings its picture as text
FREE_DISK_BYTES = 1_000_000_000  # left free by uploads
WAITING_EVENTS = 512  # of all visitors
WAITING_EVENTS_OF_ONE = 128  # of one address, behind which a whole clinic may be
WAITING_BATCHES = 16
WAITING_BATCHES_OF_ONE = 4
SESSIONS = 1000  # whose choices gradio remembers
SESSIONS_WITH_MESSAGES = 2000  # more than may wait, so that answers stay until they are fetched
BATCH_FILES = 200  # uploaded for one batch; an archive counts once
BATCH_IMAGES = 500  # in one batch, what the archives hold counted
CLASSES = 20
SENTENCES = 100  # of all classes together
SENTENCE_CHARACTERS = 300  # CLIP reads 77 tokens
CLASS_CHARACTERS = 60


def prompts_problem(prompts: Mapping[str, Sequence[str]]) -> str | None:
    """Return a sentence for sentences of classes that are more than the models are asked at once, else None."""
    count = sum(len(sentences) for sentences in prompts.values())
    longest = max((len(text) for sentences in prompts.values() for text in sentences), default=0)
    longest_class = max(map(len, prompts), default=0)
    if len(prompts) > CLASSES:
        return texts.MANY_CLASSES.format(len(prompts), CLASSES)
    if count > SENTENCES:
        return texts.MANY_SENTENCES.format(count, SENTENCES)
    if longest > SENTENCE_CHARACTERS:
        return texts.LONG_SENTENCE.format(longest, SENTENCE_CHARACTERS)
    if longest_class > CLASS_CHARACTERS:
        return texts.LONG_CLASS.format(longest_class, CLASS_CHARACTERS)
    return None


def files_problem(count: int) -> str | None:
    """Return a sentence for more files than one batch takes, else None."""
    if count > BATCH_FILES:
        return texts.MANY_FILES.format(count, BATCH_FILES)
    return None


def images_problem(count: int) -> str | None:
    """Return a sentence for more X-rays than one batch takes, else None."""
    if count > BATCH_IMAGES:
        return texts.MANY_IMAGES.format(count, BATCH_IMAGES)
    return None
