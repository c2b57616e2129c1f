"""The words around the results of the page: titles, and what each part of it is for."""

from hub_models.checkpoints.roles import ROLES, of_family

INTRO = """# Chest X-ray: lungs, infection, classes
A UNet outlines the lungs and what looks infected; CLIP and ResNet say which class the X-ray resembles most."""
DISCLAIMER = """**Research demo, not a medical device.** The models learned from a small public data set and were never
tried in a clinic: do not diagnose or treat anyone with what they say, and upload no picture that shows a name."""
PROMPTS = """CLIP compares the X-ray with sentences, so it can be asked about any classes: one `class: sentence` a line,
as many lines for a class as you like. *Zero-shot* has never been trained to choose among classes; *fine-tuned* has, and
shows here what that did to other sentences. ResNet knows its own classes only."""
SIMILARITY = """Cosine similarity of the X-ray with each sentence, -1 to 1. A class takes the mean of its sentences;
the probabilities above come from the differences between classes, which are small numbers times a large factor."""
HEAT = """Brighter places speak more for the class that the classifier prefers (Grad-CAM, Selvaraju et al. 2017). The
map is coarse, and shows where a network found something, not what."""
BATCH = """Many X-rays at once: files, or zip archives of them. One that cannot be read is named, and the rest goes on.
The archive at the end holds the table, the outlines and the masks."""
FIGURES = """Scores of the checkpoints in use on the test images that their cards name, with 95 % intervals over
patients in brackets. Nothing is measured here. Each card tells how; *Models* shows them."""
CONTROLS = """**How much of a score needs the lungs?** The classes of public collections come from different hospitals,
and a network can name the hospital. A classifier that looks at the lungs falls to chance when they are hidden."""
CHOOSE = """Use another checkpoint for a role: `embedded`, a folder, or a Hub id as `user/repo` or `user/repo@revision`.
It is used for everyone who has this page open."""
LOADING = "<p role='status'>The models are still being loaded; the outlines follow in a few seconds.</p>"

TABS = {
    "analyse": "Analyse",
    "prompts": "Zero-shot vs fine-tuned",
    "batch": "Batch",
    "compare": "Compare models",
    "models": "Models",
}
"""Name of a tab in the page's address, as in /?tab=batch -> its title."""
TITLES = {name: ROLES[name].title for name in (*of_family("clip"), *of_family("resnet", "fusion"))}
"""Classifier's role -> what it is called."""
LOOKING = {name: title for name, title in TITLES.items() if not ROLES[name].parts}
"""The classifiers that look at the X-ray themselves; a fusion combines what two of them saw."""
VIEWS = {
    "lungs": "Sees only the segmented lungs; the rest is black.",
    "crop": "Sees the X-ray cropped to the segmented lungs.",
    "full": "Sees the whole X-ray.",
    "lungs_hidden": "A control: sees the X-ray with the lungs black.",
    "box_hidden": "A control: sees the X-ray with the box around the lungs black.",
    "shape": "A control: sees the outline of the lungs alone.",
    "thumbnail": "A control: sees the X-ray in 32 x 32 pixels.",
}
