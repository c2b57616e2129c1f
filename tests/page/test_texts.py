"""The words of the page: all of them stand in one module, so that another language changes that one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "hub_models" / "page"
TEXTS = ROOM / "texts.py"
MODULES = sorted({*ROOM.glob("*.py")} - {TEXTS})

SHOWN_BY_NAME = {"label", "title", "x_title", "y_title", "placeholder", "info", "headers", "desc", "unit"}
"""Arguments that a visitor reads, of whatever is called."""
SHOWN_VALUE = {"Button", "UploadButton", "Markdown", "HTML", "update"}
"""Calls whose argument `value` a visitor reads; elsewhere it is a key, a path or a number."""
REFUSALS = {"refusal", "Error", "Info", "Warning", "CheckpointError", "refusal_html", "suggestion_html"}
SHOWN_FIRST = {*SHOWN_VALUE, *REFUSALS, "Accordion", "Tab", "Radio", "CheckboxGroup"}
"""Calls whose first argument a visitor reads."""
SHOWN_ALL = {"Refused"}
"""Calls all of whose arguments that are texts a visitor reads."""
NOT_SHOWN = {"SystemExit", "print", "logger"}
"""Calls, or whose methods, that speak to the owner of the page in a terminal or a log."""

LEFT_OUT = {
    "batch_tab.py": {"infected_share {}", "{} class"},  # columns of the table that scripts read
    "compare_tab.py": {"False positives", "True positives"},  # columns of the curves; the axes have titles of their own
    "endpoints.py": {"anyway", "files", "rows", "results"},  # names of an endpoint's parts, which scripts read
    "figures.py": {"--low: {}; --high: {}; --at: {}"},  # places of a line and a dot
    "tools.py": {"Image URL: "},  # how gradio's own texts begin
    "results.py": {"shown its own view", "shown lungs hidden"},  # keys of the figures that a checkpoint comes with
    "viewer.py": {
        "import(new URL('.{}/{}', document.baseURI)).then(script => script.open(element, props, watch, trigger))"
    },
    "visitors.py": {"an event"},  # in logs alone
}
"""Literals that look like texts for visitors and are not."""

SENTENCE = re.compile(r"\b[a-z']{2,},? \(?[a-z']+|[a-z]{2,}:? \{\}|\{\} [a-z]{2,}", re.IGNORECASE)
"""Two words that follow each other, or a word beside a value."""


def written(node: ast.AST | None) -> str | None:
    """A text literal as a visitor would see it: without HTML elements, {} for each value; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    else:
        return None
    return re.sub("<[^>]*>", "", text)


def literals(node: ast.AST) -> Iterator[ast.AST]:
    """The text literals that a value may be: also those in lists, in a choice or in a sum; no call is looked into."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            yield node
        case ast.List() | ast.Tuple():
            for each in node.elts:
                yield from literals(each)
        case ast.IfExp():
            yield from (*literals(node.body), *literals(node.orelse))
        case ast.BinOp():
            yield from (*literals(node.left), *literals(node.right))
        case ast.BoolOp():
            for each in node.values:
                yield from literals(each)


def in_a_shown_place(node: ast.AST) -> Iterator[ast.AST]:
    """The text literals that a statement or call hands to what shows them."""
    match node:
        case ast.Call():
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in SHOWN_ALL | SHOWN_FIRST:
                for argument in node.args if called in SHOWN_ALL else node.args[:1]:
                    yield from literals(argument)
            for keyword in node.keywords:
                if keyword.arg in SHOWN_BY_NAME or (keyword.arg == "value" and called in SHOWN_VALUE):
                    yield from literals(keyword.value)
        case ast.Dict():  # arguments that are handed on together
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in SHOWN_BY_NAME:
                    yield from literals(value)
        case ast.Assign(targets=[ast.Name(id=name)]) if name in SHOWN_BY_NAME:
            yield from literals(node.value)
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and name.id in SHOWN_BY_NAME:
                    yield from literals(value)


def not_for_visitors(tree: ast.AST) -> set[int]:
    """The ids of nodes that hold docstrings, annotations, or words for the owner."""
    apart: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                apart.append(node)
            case ast.Call() if ast.unparse(node.func).partition(".")[0] in NOT_SHOWN:
                apart.append(node)
            case ast.arg() | ast.AnnAssign():
                apart.append(node.annotation)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                apart.append(node.returns)
    return {id(inner) for node in apart if node for inner in ast.walk(node)}


def words_in(source: str) -> list[tuple[int, str]]:
    """Line and text of each literal that a visitor would read: in a place that is shown, or a sentence anywhere."""
    tree = ast.parse(source)
    apart = not_for_visitors(tree)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    shown = {id(literal) for node in ast.walk(tree) for literal in in_a_shown_place(node)}
    found = []
    for node in ast.walk(tree):
        text = written(node)
        if text is None or id(node) in apart | parts:
            continue
        if SENTENCE.search(text) or (id(node) in shown and re.search("[a-z]", text, re.IGNORECASE)):
            found.append((node.lineno, node.col_offset, text))
    return [(line, text) for line, _, text in sorted(found)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gr.Image(label='Outlines')", ["Outlines"]),
        ("gr.Button('Load', size='sm')", ["Load"]),
        ("gr.update(value='Load', visible=True)", ["Load"]),
        ("gr.Radio(['fill', 'contour'], value='fill')", ["fill", "contour"]),
        ("look = {'label': 'Outlines', 'elem_id': 'outlines'}", ["Outlines"]),
        ("name, title = 'batch', 'Batch'", ["Batch"]),
        ("gr.LinePlot(title='ROC', x_title='Right')", ["ROC", "Right"]),
        ("raise refusal('Wait.') from None", ["Wait."]),
        ("gr.Error(problem or 'Wait.')", ["Wait."]),
        ("gr.Info(f'{role} loaded')", ["{} loaded"]),
        ("gr.Markdown('**Wait:** ' + note)", ["**Wait:** "]),
        ("raise Refused(404, 'Nothing.')", ["Nothing."]),
        ("def say(n):\n    return f'{n:,} are waiting'", ["{} are waiting"]),
        ("cell = f'<b>{n}</b><p>both lungs</p>'", ["{}both lungs"]),
        ("pixels = f'{marked} of {area} pixels'", ["{} of {} pixels"]),
        ("names = [f'Example: {name}' for name in EXAMPLES]", ["Example: {}"]),
        ("BUSY = 'Wait a minute.'", ["Wait a minute."]),
    ],
)
def test_a_literal_that_visitors_would_read_is_found(source, words):
    assert [text for _, text in words_in(source)] == words


@pytest.mark.parametrize(
    "source",
    [
        "gr.Image(label=texts.OUTLINES, elem_id='overlay')",
        "gr.Dropdown(known, value='embedded')",
        "gr.Button(texts.LOAD.format(role))",
        "def tell():\n    '''Tell what happens.'''",
        "A = 1\n'''Words about A.'''",
        "logger.info('The page refused %s: %s', name, problem)",
        "raise SystemExit('Choose another port.')",
        "def find(image: 'a b') -> 'c d': ...",
        "gr.HTML(f\"<div class='legend'>{keys}</div>\")",
        "gr.on([a.click], show, a, js=f'() => [{nothing}]')",
    ],
)
def test_what_no_visitor_reads_is_not(source):
    assert words_in(source) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_all_that_visitors_read_stands_in_the_texts(path):
    found = words_in(path.read_text(encoding="utf-8"))
    left_out = LEFT_OUT.get(path.name, set())
    assert [f"{path.name} line {line}: {text}" for line, text in found if text not in left_out] == []
    assert left_out <= {text for _, text in found}  # none that is not there any more


def names_of(tree: ast.Module) -> set[str]:
    """The constants that a module defines."""
    assigned = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    return {target.id for target in assigned if isinstance(target, ast.Name)}


def test_every_text_is_shown_somewhere():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (TEXTS, *MODULES)]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.id for node in ast.walk(trees[0]) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert names_of(trees[0]) - used == set()
