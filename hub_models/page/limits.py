"""How much one visitor may ask for at once, and the sentence for each limit that is passed."""

from collections.abc import Mapping, Sequence

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

BUSY = "The page is currently busy: {} requests are waiting. Try again in a minute."
BUSY_WITH_YOURS = "{} of your requests are waiting already. Wait for one of them, then ask again."
BATCHES_BUSY = "{} batches are waiting already. Try again later, or run the project's own command on your computer."
YOUR_BATCHES = "{} of your batches are waiting already. Wait for one of them, then send the next."
DISK_FULL = "The page's disk is full. Try again in an hour, when old files are gone."
TOO_LARGE = "The request is larger than {} MB, the most that is taken. Send a smaller one."


def prompts_problem(prompts: Mapping[str, Sequence[str]]) -> str | None:
    """Return a sentence for sentences of classes that are more than the models are asked at once, else None."""
    count = sum(len(sentences) for sentences in prompts.values())
    longest = max((len(text) for sentences in prompts.values() for text in sentences), default=0)
    longest_class = max(map(len, prompts), default=0)
    if len(prompts) > CLASSES:
        return f"There are {len(prompts):,} classes; at most {CLASSES} are compared at once, so leave some out."
    if count > SENTENCES:
        return f"There are {count:,} sentences; at most {SENTENCES} are compared at once, so leave some out."
    if longest > SENTENCE_CHARACTERS:
        return f"A sentence has {longest:,} characters; CLIP reads at most {SENTENCE_CHARACTERS}, so shorten it."
    if longest_class > CLASS_CHARACTERS:
        return f"A class's name has {longest_class:,} characters; at most {CLASS_CHARACTERS} are taken, so shorten it."
    return None


def files_problem(count: int) -> str | None:
    """Return a sentence for more files than one batch takes, else None."""
    if count > BATCH_FILES:
        return f"There are {count:,} files; one batch takes at most {BATCH_FILES}. Pack them into a zip, or send some."
    return None


def images_problem(count: int) -> str | None:
    """Return a sentence for more X-rays than one batch takes, else None."""
    if count > BATCH_IMAGES:
        limit = f"one batch here takes at most {BATCH_IMAGES}"
        return f"There are {count:,} X-rays; {limit}. Send some, or run the project's own command on your computer."
    return None
