"""What leaves the page in the visitor's language: components as they are laid out, and as events fill them.

Only what is read is translated: no value that the browser sends back, no file, no sentence that a visitor typed.
"""

from collections.abc import Mapping
from typing import Any

from gradio.components import Component

from hub_models.page.languages import Catalogue

AS_WRITTEN = "as-written"
"""Class of a component whose texts others wrote, such as a model card."""
READ = ("label", "placeholder", "info", "title", "x_title", "y_title")
"""Properties of any component that visitors read."""
OWN = ("props", "heat", "difference")
"""Properties that only the light box has, as it is laid out and as it is updated."""
TOLD = ("about", "caption", "title")
"""Keys of what the light box is given that visitors read."""


def translate_props(kind: str, props: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Translate properties of a component.

    Args:
        kind: as gradio names it, such as "markdown".
        props: name -> property; an update has some of them.
        catalogue: the language.
    """
    if AS_WRITTEN in (props.get("elem_classes") or ()):
        return dict(props)
    changed = {name: catalogue.find(props[name]) or props[name] for name in READ if isinstance(props.get(name), str)}
    if isinstance(props.get("html_template"), str):
        changed["html_template"] = catalogue.in_html(props["html_template"])
    if props.get("choices"):
        changed["choices"] = [[_said(name, catalogue), value] for name, value in props["choices"]]
    if props.get("headers"):
        changed["headers"] = [_said(name, catalogue) for name in props["headers"]]
    if "value" in props:
        changed["value"] = translate_value(kind, props["value"], catalogue)
    changed |= {name: _told(props[name], catalogue) for name in OWN if name in props}
    return {**props, **changed}


def translate_value(kind: str, value: Any, catalogue: Catalogue) -> Any:
    """Translate the value of a component; one of a kind that visitors do not read stays as it is."""
    match kind, value:
        case "html", str():
            return catalogue.in_html(value)
        case "html", dict() | list():
            return _told(value, catalogue)
        case "markdown", str():
            return catalogue.in_markdown(value)
        case "button" | "uploadbutton", str():
            return _said(value, catalogue)
        case "dataframe", {"headers": headers, "data": rows}:
            cells = [[_said(cell, catalogue) for cell in row] for row in rows]
            return {**value, "headers": [_said(name, catalogue) for name in headers], "data": cells}
    return value


def translate_output(part: Component, value: Any, catalogue: Catalogue) -> Any:
    """Translate what an event gives a component: a value, or an update of some of its properties."""
    if AS_WRITTEN in (part.elem_classes or ()):
        return value
    if isinstance(value, dict) and value.get("__type__") == "update":
        return translate_props(part.get_block_name(), value, catalogue)
    return translate_value(part.get_block_name(), value, catalogue)


def translate_config(config: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Translate what gradio sends a browser that opens the page."""
    parts = [
        {**part, "props": translate_props(part["type"], part["props"], catalogue)} for part in config["components"]
    ]
    return {**config, "components": parts, "title": _said(config["title"], catalogue)}


def _said(text: Any, catalogue: Catalogue) -> Any:
    return (catalogue.find(text) or text) if isinstance(text, str) else text


def _told(value: Any, catalogue: Catalogue) -> Any:
    if isinstance(value, list):
        return [_told(each, catalogue) for each in value]
    if isinstance(value, dict):
        return {
            name: _said(each, catalogue) if name in TOLD and isinstance(each, str) else _told(each, catalogue)
            for name, each in value.items()
        }
    return value
