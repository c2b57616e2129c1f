"""What was found on one X-ray, as the page says it: the shares, the conclusion, the table of classes, and how sure."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.cards.left_out import span
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import ANSWERING, ROLES
from hub_models.models.calibration import fitting_calibrations
from hub_models.models.labels import LABELS
from hub_models.page import texts
from hub_models.page.results import named, plain, plain_html
from hub_models.reports.sentences import (
    GRADE,
    NOT_A_RISK,
    PROBABILITY_IS_NOT,
    RANGE,
    SIDES,
    UNLIKE_MOST,
    agreement,
    grade_range,
    headline,
    share_range,
)
from hub_models.xray.masks import Involvement, Masks, split_lungs

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.models.classifier import Classifier
    from hub_models.models.conclusion import Conclusion
    from hub_models.models.report import Answers


def inside(label: str) -> str:
    """Return the plain name of a class as it stands inside a sentence."""
    name = named(label)
    return name if name == label else name[:1].lower() + name[1:]


def shares_html(masks: Masks, involvement: Involvement) -> str:
    """Write the infected share of each lung for the visitor; what it means is folded away."""
    areas = dict(zip(texts.SIDES, (*split_lungs(masks.lungs), masks.lungs), strict=True))
    cells = []
    for side, share in involvement.shares.items():
        ends = involvement.ranges.get(side)
        marked, area = int((areas[side] & masks.infection).sum()), int(areas[side].sum())
        graded = "" if share is None or side == "both" else texts.SHARE_GRADE.format(grade_range(share, ends))
        pixels = texts.SHARE_PIXELS.format(marked, area)
        small = f"<small>{graded}</small><small class='exact'>{pixels}</small>"
        cells.append(f"<div><b>{share_range(share, ends)}</b><span>{texts.SIDES[side]}</span>{small}</div>")
    return f"<div class='shares'>{''.join(cells)}</div>{fold(texts.SHARE, RANGE, SIDES, GRADE)}"


def fold(*sentences: str) -> str:
    """Write explanations that are read on demand, behind an (i)."""
    inner = "".join(f"<p>{sentence}</p>" for sentence in sentences)
    return f"<details class='why'><summary>{texts.WHY}</summary>{inner}</details>"


def conclusion_html(
    conclusion: "Conclusion | None",
    answers: "Answers | None" = None,
    sets: Mapping[str, Sequence[str]] | None = None,
    trust: Sequence[str] = (),
) -> str:
    """Write what the classifiers say together, then the table of what each of them says, and how far to trust it.

    Args:
        conclusion: of all classifiers; None where they named no class that can be put together.
        answers: role -> class -> probability.
        sets: role -> the classes that it does not tell apart.
        trust: what `trust_texts` returns.
    """
    if not answers:
        return ""
    said = ""
    if conclusion is not None:
        names = [named(label) if conclusion.decided else inside(label) for label in conclusion.classes]
        quoted = [f'"{named(label)}"' for label in conclusion.classes]
        why = f"<p>{UNLIKE_MOST}</p>" if conclusion.unlike else ""
        agreed = plain_html(agreement(quoted, conclusion.agree, conclusion.of))
        said = f"<b>{plain_html(headline(names, conclusion.decided))}</b>{why}<p class='agreed'>{agreed}</p>"
    short, *exact = [plain_html(sentence) for sentence in trust] or [""]
    trusted = f"<p class='trust'>{short}</p>" if short else ""
    why = fold(texts.SETS, *exact, f"{PROBABILITY_IS_NOT} {NOT_A_RISK}")
    return f"<div class='conclusion' role='status'>{said}{classes_table(answers, sets or {})}{trusted}{why}</div>"


def classes_table(answers: "Answers", sets: Mapping[str, Sequence[str]]) -> str:
    """Write a row a class, always in the same order, and a column a classifier; what it does not tell apart is marked.

    Args:
        answers, sets: as in `conclusion_html`.
    """
    answered = dict.fromkeys(label for answer in answers.values() for label in answer)
    order = [label for label in LABELS if label in answered]
    order += [label for label in answered if label not in LABELS]
    heads = "".join(f"<th scope='col'>{title}</th>" for title in texts.TITLES.values())
    rows = []
    for label in order:
        cells = []
        for role in texts.TITLES:
            share = answers.get(role, {}).get(label)
            mark = " class='likely'" if label in sets.get(role, ()) else ""
            cells.append("<td>-</td>" if share is None else f"<td{mark} style='--share: {share:.3f}'>{share:.0%}</td>")
        rows.append(f"<tr><th scope='row'>{plain_html(named(label))}</th>{''.join(cells)}</tr>")
    head = f"<tr><th scope='col'>{texts.CLASS_COLUMN}</th>{heads}</tr>"
    return f"<table class='classes'><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def sets_of(answers: "Answers", classifiers: "Mapping[str, Classifier]") -> dict[str, list[str]]:
    """Return role -> the classes that it does not tell apart, of those whose answer to its own sentences has a set."""
    fitting = fitting_calibrations(classifiers).items()
    return {role: one.likely(answers[role]) for role, one in fitting if role in answers}


def likely_text(likely: Sequence[str], level: float, elsewhere: bool = False) -> str:
    """Write a prediction set: the classes that a classifier does not tell apart, at home or, widened, `elsewhere`."""
    text = texts.LIKELY_ELSEWHERE if elsewhere else texts.LIKELY
    return text.format(texts.LIKELY_OR.join(plain(named(label)) for label in likely), level)


def likely_texts(answers: "Answers", classifiers: "Mapping[str, Classifier]") -> dict[str, str]:
    """Write the prediction set of each role whose answer, to its own sentences, has one."""
    return {
        role: likely_text(one.likely(answers[role]), one.level, one.least_elsewhere is not None)
        for role, one in fitting_calibrations(classifiers).items()
        if role in answers
    }


def trust_texts(checkpoints: Mapping[str, Checkpoint]) -> list[str]:
    """Write how often the classifier whose answer counts first is right, at home and elsewhere; in short, then exactly.

    The recipe that was measured on hospitals left out of its training may be that of another one, which is named then.

    Raises:
        ValueError: if the figures are damaged.
    """
    folders = [checkpoints[role].folder for role in ANSWERING if role in checkpoints]
    facts = (CardFacts.load(folder) for folder in folders if (folder / FACTS_FILE).is_file())
    at_home = next(facts, None)
    if at_home is None or "accuracy" not in at_home.results:
        return []
    away = next((one for one in chain([at_home], facts) if "left_out" in one.results), None)
    home = at_home.results["accuracy"]
    if away is None:
        return [texts.TRUST_HOME.format(home), texts.TRUST.format(home, at_home.results["images"], texts.NO_TRUST_AWAY)]
    measured = away.results["left_out"]
    like = "" if away is at_home else texts.TRUST_LIKE.format(ROLES[away.role].title)
    elsewhere = texts.TRUST_AWAY.format(*span(measured), len(measured["sources"]), like)
    short = texts.TRUST_SHORT.format(home, *span(measured))
    return [short, texts.TRUST.format(home, at_home.results["images"], elsewhere)]
