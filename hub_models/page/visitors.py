"""The page's own Blocks and queue: whose request may wait, whose is next, and what is logged of one that fails."""

import asyncio
import errno
import itertools
import logging
import os
import traceback
from collections import Counter
from collections.abc import Iterable
from typing import Any

import gradio as gr
from fastapi import Request
from gradio import queueing
from gradio.data_classes import PredictBodyInternal
from gradio.exceptions import InvalidPathError
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import LRUCache, error_payload
from pydantic import ValidationError

from hub_models.page import limits, texts
from hub_models.page.border import translate_config, translate_output
from hub_models.page.languages import SPOKEN, in_spoken, language_of, spoken_catalogue
from hub_models.page.uploads import admit, named_files, refusal

logger = logging.getLogger(__name__)

BATCHES = "batches"
"""The `concurrency_id` of events that answer many X-rays; they wait in a queue of their own."""


class Page(gr.Blocks):
    """Blocks whose events answer every visitor with a sentence, and log no value that a visitor sent."""

    def queue(self, *args, **options) -> "Page":
        """Set up gradio's queue, and put `VisitorQueue` in its place."""
        super().queue(*args, api_open=False, **options)
        self._queue = VisitorQueue(
            live_updates=True,
            concurrency_count=self.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=self,
            default_concurrency_limit=options.get("default_concurrency_limit", "not_set"),
        )
        return self

    @property
    def config(self) -> Any:
        """What a browser gets that opens the page, in the language of `SPOKEN`."""
        catalogue = spoken_catalogue()
        return self._config if catalogue is None else translate_config(self._config, catalogue)

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config

    async def process_api(self, block_fn: Any, *args, **options) -> dict[str, Any]:
        """Run an event; a visitor gets the answer in their language, a script in English.

        Raises:
            gr.Error: with the sentence that the visitor sees, whatever happened.
        """
        fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        SPOKEN.set(language_of_event(fn, options.get("request")))
        try:
            return await super().process_api(block_fn, *args, **options)
        except Exception as error:  # every kind: gradio would print values that visitors sent
            told = told_to_visitor(error, _name(block_fn))
            told.message, told.title = in_spoken(told.message), in_spoken(told.title)
            raise told from None

    async def postprocess_data(self, block_fn: Any, *args, **options) -> list[Any]:
        """Make what an event returned ready for the browser."""
        data = await super().postprocess_data(block_fn, *args, **options)
        if (catalogue := spoken_catalogue()) is None:
            return data
        return [translate_output(part, value, catalogue) for part, value in zip(block_fn.outputs, data, strict=True)]


def language_of_event(fn: Any, request: Any) -> str:
    """Return the language of whoever asks: that of the page's address, cookie or browser; of a script, English."""
    if request is None or fn.api_visibility == "public":
        return "en"
    return language_of(request.query_params, request.cookies, request.headers.get("accept-language"))


class VisitorQueue(queueing.Queue):
    """Gradio's queue with a bound for each visitor, and a turn for each address.

    An event that is refused ends at once, with a sentence, in the way that every client of gradio understands.
    """

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.pending_messages_per_session = Sessions(self, limits.SESSIONS_WITH_MESSAGES)
        self.waiting_beside: Counter[str] = Counter()  # by address, of requests that wait elsewhere (`Direct`)
        self._served: Counter[str] = Counter()
        self._clock = itertools.count(1)

    async def push(self, body: PredictBodyInternal, request: Request, username: str | None) -> tuple[bool, Any, str]:
        """Let an event wait, or answer it with why not."""
        fn = self.blocks.fns.get(body.fn_index)
        if fn is None:
            return False, texts.NO_EVENT, "error"
        # A script may leave out the last inputs, as an assistant may.
        body.data = [*body.data, *(getattr(part, "value", None) for part in fn.inputs[len(body.data) :])]
        if problem := self._problem(fn.concurrency_id, address_of(request)) or _file_problem(body.data):
            logger.info("The page refused %s: %s", _name(fn), problem)
            if "/call/" in request.url.path:  # scripts read the sentence of the answer itself
                return False, problem, "queue_full"
            return await self._refuse(body, queueing.Event(body.session_hash, fn, request, username), problem)
        return await super().push(body, request, username)

    def get_events(self) -> tuple[list[queueing.Event], bool, str] | None:
        """Choose what runs next: in each queue, of the address that was served the longest ago."""
        for waiting in self.event_queue_per_concurrency_id.values():
            if waiting.queue:
                first = min(waiting.queue, key=lambda event: self._served[address_of(event.request)])
                waiting.queue.remove(first)
                waiting.queue.insert(0, first)
        chosen = super().get_events()
        if chosen:
            self.serve(address_of(chosen[0][0].request))
        return chosen

    def served(self, address: str) -> int:
        """Return when an address was served last, as a number that grows; 0 if it was not."""
        return self._served[address]

    def serve(self, address: str) -> None:
        """Remember that an address is served now."""
        self._served[address] = next(self._clock)
        if len(self._served) > limits.SESSIONS:
            del self._served[min(self._served, key=self._served.get)]

    def send_message(self, event: queueing.Event, event_message: Any) -> None:
        """Put a message where the visitor's browser fetches it; nobody waits for one of a session that is gone."""
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)

    def busy_sessions(self) -> set[str]:
        """Return the sessions of events that wait or run."""
        waiting = [event for queue in self.event_queue_per_concurrency_id.values() for event in queue.queue]
        running = [event for job in self.active_jobs if job for event in job]
        return {event.session_hash for event in (*waiting, *running)}

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Return the summary for gradio's monitoring, which is off: making it costs more than a refused request."""
        return self.cached_event_analytics_summary

    def _problem(self, concurrency_id: str, address: str) -> str | None:
        """Return why an event of an address may not wait, else None."""
        queues = self.event_queue_per_concurrency_id
        if concurrency_id == BATCHES:
            count, own = _waiting([queues[BATCHES]] if BATCHES in queues else [], address)
            if own >= limits.WAITING_BATCHES_OF_ONE:
                return texts.YOUR_BATCHES.format(own)
            return texts.BATCHES_BUSY.format(count) if count >= limits.WAITING_BATCHES else None
        return self.problem_of(address)

    def problem_of(self, address: str) -> str | None:
        """Return why one more X-ray of an address may not wait, else None."""
        queues = self.event_queue_per_concurrency_id
        count, own = _waiting([queue for name, queue in queues.items() if name != BATCHES], address)
        count, own = count + self.waiting_beside.total(), own + self.waiting_beside[address]
        if count >= limits.WAITING_EVENTS:
            return texts.BUSY.format(count)
        return texts.BUSY_WITH_YOURS.format(own) if own >= limits.WAITING_EVENTS_OF_ONE else None

    async def _refuse(self, body: PredictBodyInternal, event: queueing.Event, problem: str) -> tuple[bool, str, str]:
        body.session_hash = event.session_hash
        SPOKEN.set(language_of_event(event.fn, event.request))
        async with self.pending_message_lock:
            self.pending_event_ids_session.setdefault(event.session_hash, set()).add(event._id)
            if event.session_hash not in self.pending_messages_per_session:
                self.pending_messages_per_session[event.session_hash] = asyncio.Queue()
        output, title = error_payload(refusal(in_spoken(problem)), show_error=True), in_spoken(texts.REFUSAL_TITLE)
        self.send_message(event, ProcessCompletedMessage(output=output, title=title, success=False))
        return True, event._id, "success"


class Sessions(LRUCache):
    """Session -> messages for it. When there are too many, a session that waits for nothing goes first.

    Gradio's own drops the oldest, and the queue breaks if that one still waits. Every call of an endpoint has a session
    of its own, so that some thousands of refused calls would be enough.
    """

    def __init__(self, queue: VisitorQueue, max_size: int) -> None:
        super().__init__(max_size)
        self._queue = queue

    def __setitem__(self, session: str, messages: asyncio.Queue) -> None:
        """Add a session, and drop another where there are too many."""
        if session not in self and len(self) >= self.max_size:
            undelivered, busy = self._queue.pending_event_ids_session, self._queue.busy_sessions()
            idle = (known for known in self if known not in busy)
            dropped = next((known for known in self if not undelivered.get(known)), next(idle, next(iter(self))))
            del self[dropped]
            undelivered.pop(dropped, None)
        super().__setitem__(session, messages)


def address_of(request: Any) -> str:
    """Return the address of whoever sent a request; on a Space, what its proxy says that it is."""
    forwarded = request.headers.get("x-forwarded-for") if "SPACE_ID" in os.environ else None
    if forwarded:
        return forwarded.rpartition(",")[2].strip()  # what comes before is the visitor's own word
    return request.client.host if request.client else "unknown"


def told_to_visitor(error: Exception, event: str) -> gr.Error:
    """Turn what an event raised into the sentence for its visitor, and log it without a value that they sent."""
    match error:
        case gr.Error():
            error.print_exception = False
            logger.info("The page refused %s.", event)
            return error
        case ValidationError():
            logger.info("The page refused %s: its inputs are of other kinds.", event)
            return refusal(texts.NOT_UNDERSTOOD)
        case InvalidPathError():
            logger.info("The page refused %s: %s", event, texts.NOT_HERE)
            return refusal(texts.NOT_HERE)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            logger.error("The disk is full: %s was not answered.", event)
            return refusal(texts.DISK_FULL)
    where = "".join(traceback.format_tb(error.__traceback__))  # lines of code, no values
    logger.error("%s failed with %s at\n%s", event, type(error).__name__, where)
    return refusal(texts.FAILED)


def _file_problem(inputs: Any) -> str | None:
    """Return why the files in the inputs of an event are not admitted, else None."""
    try:
        for file in named_files(inputs):
            admit(file)
    except gr.Error as error:
        return error.message
    return None


def _waiting(queues: Iterable[queueing.EventQueue], address: str) -> tuple[int, int]:
    """Count the events that wait, of all addresses and of one."""
    addresses = Counter(address_of(event.request) for queue in queues for event in queue.queue)
    return addresses.total(), addresses[address]


def _name(fn: Any) -> str:
    return str(getattr(fn, "api_name", None) or getattr(fn, "name", None) or "an event")
