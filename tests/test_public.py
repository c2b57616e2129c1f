"""The public names of `hub_models`: lent when they are asked for, and all that documents and model cards import."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hub_models

ROOT = Path(hub_models.__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "train").glob("*.md")),
    *sorted((ROOT / "hub_models").glob("**/*.md")),
]


@pytest.mark.parametrize("name", hub_models.__all__)
def test_each_public_name_is_the_one_of_the_module_that_defines_it(name):
    lent = getattr(hub_models, name)
    assert lent.__name__ == name
    assert getattr(importlib.import_module(lent.__module__), name) is lent
    assert lent.__module__.startswith("hub_models.")


def test_the_public_names_are_listed_and_another_is_refused():
    assert {"XrayPipeline", "read_image", "draw_phantom", "resolve", "Segmenter", "CardFacts"} <= set(dir(hub_models))
    assert set(hub_models.__all__) <= set(dir(hub_models))
    with pytest.raises(AttributeError, match="module 'hub_models' has no attribute 'Everything'"):
        _ = hub_models.Everything


def test_importing_the_package_brings_no_large_library():
    code = (
        "import sys, hub_models\n"
        "large = {'torch', 'transformers', 'gradio', 'numpy', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(', '.join(large) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_imports_public_names_only(document):
    text = document.read_text(encoding="utf-8")
    assert not re.findall(r"^\s*(?:from hub_models\.|import hub_models).*", text, re.MULTILINE)
    imports = re.findall(r"^\s*from hub_models import (?:\(([^)]*)\)|(.*))", text, re.MULTILINE)
    names = {name.strip() for pair in imports for name in "".join(pair).split(",") if name.strip()}
    if document.name != "card_template.md":  # there a name may be chosen by the role
        assert names <= set(hub_models.__all__)


def test_the_readme_and_every_card_import_something():
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS if path.name == "README.md"]
    assert sum("from hub_models import " in text for text in texts) == 6
