"""The sentences of the page about a result and about the checkpoints in use, as HTML or Markdown."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.page import texts
from hub_models.reports.description import one_line, printable
from hub_models.reports.sentences import percent

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.engines.engine import Engine
    from hub_models.models.gradcam import Explanation

_MEANING = re.compile(r"[&<>*_`\[\]|$~\\!#@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Characters that Markdown, HTML, or whatever makes links of addresses reads as more than themselves."""


def named(label: str) -> str:
    """Return the plain name of a class; files keep the label."""
    return texts.CLASS_NAMES.get(label, label)


def plain(text: str) -> str:
    """Write a text of others so that Markdown and HTML show it as it is, on one line, with no link or picture in it.

    Control characters, and those that turn the direction of writing, are shown as escapes.
    """
    return _MEANING.sub(lambda sign: f"&#{ord(sign[0])};", printable(one_line(text)))


def plain_html(text: str) -> str:
    """Write a text of others for a place that takes HTML alone."""
    return html.escape(printable(one_line(text)))


def bullets(notes: Sequence[str]) -> str:
    """Write notes, which may hold words of others, as a list."""
    return "\n".join(f"- {plain(note)}" for note in notes)


def refusal_html(*sentences: str) -> str:
    """Write why a file or a picture is refused, where its outlines would stand."""
    return f"<div class='problem' role='alert'>{' '.join(map(plain_html, sentences))}</div>"


def suggestion_html(sentence: str) -> str:
    """Write how a picture seems to lie, beside the button that puts it right."""
    return f"<div class='problem' role='status'>{plain_html(sentence)}</div>"


def loading_html() -> str:
    """Write that the models are not there yet, where the shares will stand."""
    return f"<p role='status'>{texts.LOADING}</p>"


def control_text(checkpoint: Checkpoint | None) -> str:
    """Write how much of a classifier's score needs the lungs, as its card tells; nothing where no figures come with it.

    Raises:
        ValueError: if the figures are damaged.
    """
    if checkpoint is None or not (checkpoint.folder / FACTS_FILE).is_file():
        return ""
    results = CardFacts.load(checkpoint.folder).results
    shown = results.get("controls", {})
    if not {"shown its own view", "shown lungs hidden"} <= shown.keys():
        return texts.NO_CONTROL_SCORES
    own, hidden = shown["shown its own view"], shown["shown lungs hidden"]
    return texts.CONTROL_SCORES.format(own["accuracy"], own["images"], hidden["accuracy"])


def heat_text(explanation: "Explanation") -> str:
    """Write what a heat map explains and how much of it lies in the lungs, as text that is not read as HTML."""
    label = printable(one_line(named(explanation.label)))
    if explanation.inside_lungs is None:
        return texts.HEAT_NOWHERE.format(label)
    return texts.HEAT_IN_LUNGS.format(label, percent(explanation.inside_lungs))


def problems_html(checkpoints: Mapping[str, Checkpoint]) -> str:
    """Write which embedded checkpoints stand in for those that were asked for, and why."""
    return "".join(
        f"<div class='problem' role='status'><b>{texts.STAND_IN_NOTICE.format(role)}</b> "
        f"{plain_html(checkpoint.problem)}</div>"
        for role, checkpoint in checkpoints.items()
        if checkpoint.problem
    )


def checkpoints_table(checkpoints: Mapping[str, Checkpoint], engines: "Mapping[str, Engine]") -> str:
    """Write the checkpoints in use, and what runs them, as a Markdown table; below, why it is nothing faster."""
    rows = []
    for role, c in checkpoints.items():
        mark = f" {texts.STAND_IN_MARK}" if c.problem else ""
        names = f"{role} | {_code(c.name)}{mark} | {c.origin} | {_code(c.revision or '-')}"
        rows.append(f"| {names} | {engines.get(role, '-')} |")
    slow = {role: plain(engine.problem) for role, engine in engines.items() if engine.problem}
    why = ["\n" + texts.RUNS_IN_PYTORCH.format(role, problem) for role, problem in slow.items()]
    return "\n".join([f"| {' | '.join(texts.CHECKPOINT_COLUMNS)} |", "|---|---|---|---|---|", *rows, *why])


def _code(text: str) -> str:
    return f"<code>{plain(text)}</code>"


def card_html(checkpoint: Checkpoint) -> str:
    """Write a checkpoint's model card without its YAML front matter as HTML.

    Whoever published the checkpoint wrote the card, so its HTML is shown as text, a picture as its description, and a
    link only to a page of the web, in a tab of its own. No element carries an id, a class or a style of the card.
    """
    card = checkpoint.folder / "README.md"
    if not card.is_file():
        return f"<p>{texts.NO_CARD}</p>"
    text = card.read_text(encoding="utf-8", errors="replace")
    return _cards().render(re.sub(r"\A---\s*\n.*?\n---\s*\n", "", text, flags=re.DOTALL))


def _cards() -> "MarkdownIt":
    """Return what turns a card into HTML."""
    from markdown_it import MarkdownIt  # the page opens sooner without

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.validateLink = lambda address: re.match("https?://", address, re.IGNORECASE) is not None
    markdown.add_render_rule("image", _picture)
    markdown.add_render_rule("link_open", _link)
    markdown.add_render_rule("fence", lambda renderer, tokens, i, *_: _block(tokens[i].content))
    markdown.add_render_rule("text", lambda renderer, tokens, i, *_: html.escape(_printable_lines(tokens[i].content)))
    return markdown


def _picture(renderer: "RendererHTML", tokens: list, i: int, options: dict, env: dict) -> str:
    described = renderer.renderInlineAsText(tokens[i].children, options, env)
    return f"<em>{texts.CARD_PICTURE.format(plain_html(described))}</em>"


def _link(renderer: "RendererHTML", tokens: list, i: int, *_: dict) -> str:
    address = html.escape(tokens[i].attrGet("href"))
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">'


def _block(content: str) -> str:
    return f"<pre><code>{html.escape(_printable_lines(content))}</code></pre>\n"


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
