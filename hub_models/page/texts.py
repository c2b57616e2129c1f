"""The words of the page: everything that visitors read, by the part of the page that shows it.

A pair of braces is a place for a value, in the order that the name or the comment beside it tells; a translation may
number them, as in {1} and {0}. What the page and the PDF both say stands in `reports.sentences`, and why a picture is
refused in `xray.verdict`.
"""

from hub_models.checkpoints.roles import ROLES, of_family

# The whole page
PAGE_TITLE = "Chest X-ray"
INTRO = """# Chest X-ray: lungs, infection, classes
A UNet outlines the lungs and what looks infected; CLIP and ResNet say which class the X-ray resembles most."""
DISCLAIMER = """**Research demo, not a medical device.** Learned from a small public data set, never tried in a clinic:
do not diagnose or treat anyone with what it says, and upload no picture that shows a name."""
STAND_IN_NOTICE = "{}: the embedded checkpoint stands in."  # role
STILL_FETCHED = "{} is still being fetched."  # checkpoint
TRY_AGAIN_BUTTON = "Try again"
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

SPOKEN = "en"  # the language's code

# Names that only a screen reader says
EXAMPLE_NAME = "Example: {}"
PICTURE_NAME = "Picture"
EMPTY_NAME = "Empty value"
PLOT_NAME = "Points of the plot"
FILTER_NAME = "Filter the rows"

# The field for an X-ray, and the offer to turn, invert or mirror it
XRAY_FIELD = "X-ray"
ANY_FILE_BUTTON = "Drop, paste or choose an X-ray"
EXAMPLES = ("healthy", "two opacities", "four opacities")
EXAMPLES_LABEL = "Drawn examples: {}"
TURN_BUTTON = "Turn it upright"
INVERT_BUTTON = "Exchange dark and light"
TURN_AND_INVERT_BUTTON = "Turn it and exchange dark and light"
MIRROR_BUTTON = "Exchange left and right"

# This visit
VISIT_TITLE = "This visit"
VISIT_OPEN = "X-ray"
VISIT_COMPARE = "Compare two"
VISIT_SHARE = "{} of both lungs outlined as infected"
VISIT_UNKNOWN = "No share was measured."
VISIT_CHANGE = "Change of the infected share: {} percentage points, from the earlier X-ray to the later."
VISIT_CLOSE = "Close"

# Analyse: outlines and shares
LOADING = "The models are still being loaded; the outlines follow in a few seconds."
OUTLINES = "Outlines"
MASKS = {"lungs": "lungs", "infection": "infection"}
STYLES = {"fill": "fill", "contour": "contour"}
STYLE = "Draw as"
OPACITY = "Opacity"
SIDE_MARKS = ("R", "L")
VIEWER_NAME = "Light box"
VIEWER_PICTURE = "The X-ray with its outlines"
VIEWER_TOOLBAR = "Tools of the light box"
VIEWER_KEYS = """Keys: + and - zoom, arrows move, 0 resets, 1 shows true pixels, w drags the window, [ ] and < > change
its level and width, i inverts, s hides the side marks, c hides the outlines, f fills the screen. The right mouse
button drags the window, too."""
VIEWER_TOOLS = {
    "zoom-out": "Zoom out",
    "zoom-in": "Zoom in",
    "pixels": "True pixels",
    "window": "Drag changes brightness and contrast",
    "invert": "Exchange black and white",
    "sides": "Side marks",
    "compare": "Hold to see the X-ray alone",
    "reset": "Reset zoom and window",
    "full": "Fill the screen",
}
"""Tool of the light box -> what it does."""
WORKED_EXAMPLE = "A drawn example. Drop your own X-ray here."
VIEWER_GREY = "grey"
HEAT_LAYER = "Heat map"
NO_HEAT = "none"
ANYWAY_BUTTON = "Show what the models say anyway"
SIDES = {"right": "patient's right lung", "left": "patient's left lung", "both": "both lungs"}
SHARE = "Share of the lung's area in the picture that is outlined as infected, with the pixels that it is made of."
SHARE_GRADE = "grade {} of 4"
SHARE_PIXELS = "{:,} of {:,} pixels"  # outlined, of the lung

WHY = "What this means"

# Analyse: classes
CLASS_NAMES = {"Non-COVID": "Other pneumonia", "Normal": "Nothing found"}
"""Class -> what the page calls it; files keep the class's own name."""
CLASS_COLUMN = "Class"
SETS = "Framed: the classes that a classifier does not tell apart, so the true one is probably among them."
TRUST_HOME = "Right on {:.0%} of X-rays from hospitals that it learned from; elsewhere it is not measured."
TRUST_SHORT = """Right on {:.0%} of X-rays from hospitals that it learned from, and on {:.0%} ({:.0%} to {:.0%}) in
hospitals that it never saw."""
LIKELY = "**{}**: sets like this one held the true class of {:.0%} of X-rays like its own."  # classes, level
LIKELY_ELSEWHERE = "**{}**: such sets held the true class of {:.0%} of X-rays from hospitals left out of training."
LIKELY_OR = " or "
VIEWS = {
    "soft_lungs": "Sees only the segmented lungs, which fade into black at their outline.",
    "lungs": "Sees only the segmented lungs; the rest is black.",
    "crop": "Sees the X-ray cropped to the segmented lungs.",
    "full": "Sees the whole X-ray.",
    "lungs_hidden": "A control: sees the X-ray with the lungs black.",
    "box_hidden": "A control: sees the X-ray with the box around the lungs black.",
    "shape": "A control: sees the outline of the lungs alone.",
    "thumbnail": "A control: sees the X-ray in 32 x 32 pixels.",
}
CONTROL_SCORES = "It named the right class on {:.0%} of {} test images, and on {:.0%} of them with the lungs hidden."
TRUST = "How far to trust it: right on {:.0%} of {} test X-rays from the hospitals that it learned from; {}"
TRUST_AWAY = "on {:.0%} (mean; {:.0%} to {:.0%}) of those from {} hospitals, each left out of a training{}."
TRUST_LIKE = " like that of {}"
NO_TRUST_AWAY = "how often in another hospital is not measured."
NO_CONTROL_SCORES = "How much of its score needs the lungs is not measured."

CLASSIFIERS_TITLE = "How each classifier answers"

# Analyse: heat maps
HEAT = """Heat maps: lighter places speak more for the class that the classifier prefers (Grad-CAM, Selvaraju et al.
2017). A map is coarse, and shows where a network found something, not what."""
HEAT_BUTTON = "Show where"
HEAT_WITHOUT_LUNGS = "No lungs found, so nothing was classified."
HEAT_NOWHERE = 'Nothing in the picture speaks for "{}".'
HEAT_IN_LUNGS = 'What speaks for "{}": {} of the heat lies in the lungs.'  # class, share

# Analyse: files to keep
KEEP_TITLE = "Keep the result"
MASK_FILES = "Masks (PNG; JSON with run lengths and areas)"
REPORT_LABEL = "Label for the report and its file names (no name of a person)"
REPORT_BUTTON = "Write a report"
REPORT_FILES = "Report (PDF, JSON) and overlay"

# Analyse: the visitor's own opinion
ANNOTATE_TITLE = "Correct, compare, take away"
PENCIL_NAME = "Pencil"
PENCIL_TOOLS = {"draw": "Draw", "erase": "Erase"}
PENCIL_ACTS = {"undo": "Undo", "again": "Start again"}
PENCIL_MASK = "on"
PENCIL_SIZE = "width"
AS_DRAWN = "As you drew it:"
RATHER = "The class is rather"
REMARK = "Remark (no names)"
GIVE = "Send this one, without its name or header, to the private data set {}, from which the models may learn"
SAVE_CORRECTION = "Save the correction"
FORMATS_BUTTON = "Masks as DICOM SEG and NIfTI"
FORMAT_FILES = "Files"
COMPARED_MASK = "Compare this mask"
OTHER_MASK = "with one drawn elsewhere (PNG)"
AGREEMENT = "{}: Dice {:.3f}, IoU {:.3f}. Where they differ is a layer of the light box."
DIFFERENCE = "Difference"
NO_MASK = "That is not a mask of one region; draw it white on black, as a PNG file of the whole X-ray."
NOT_AN_OPINION = "The class is none of those that can be chosen, or the remark is too long."
GIVEN = "Thank you: the correction was kept for the owner of this page."
NOT_GIVEN = "The correction cannot be kept just now, and nothing was sent; save it without the tick."

# Tools for assistants
TOOL_FAILED = "The tool failed; ask again later."

# Zero-shot vs fine-tuned
PROMPTS = """CLIP compares the X-ray with sentences, so it can be asked about any classes: one `class: sentence` a line,
as many lines for a class as you like. *Zero-shot* has never been trained to choose among classes; *fine-tuned* has, and
shows here what that did to other sentences. ResNet knows its own classes only."""
QUESTION = "Ask about"
QUESTIONS = {
    "classes": "the three classes",
    "Pneumothorax": "Pneumothorax",
    "Pleural effusion": "Pleural effusion",
    "Nodule": "Nodule",
}
"""Question -> what it is about; any sentences may be written below."""
TAUGHT = """**Ask in English.** The text model was taught with captions in radiologists' words about COVID-19,
pneumonia, tuberculosis and clear lungs. A pneumothorax or an effusion it only saw denied, a nodule never: such answers
are guesses."""
UNKNOWN_WORDS = "The text model was not taught these words and reads them in pieces, if at all: {}."
CUT_SENTENCE = "The text model does not read the end of this sentence, so shorten it: {}"
PROMPTS_FIELD = "class: sentence"
PROMPTS_BUTTON = "Compare the X-ray with these sentences"
SIMILARITY = """Cosine similarity of the X-ray with each sentence, -1 to 1. A class takes the mean of its sentences, or,
with a CLIP that was set so, mostly the nearest ones; the probabilities above come from the differences between
classes, which are small numbers times a large factor."""
SIMILARITY_TABLE = "Similarity"
SIMILARITY_COLUMNS = {"class": "Class", "sentence": "Sentence"}

# Batch
BATCH = """Many X-rays at once: files, or zip archives of them. One that cannot be read is named, and the rest goes on.
A click on a row opens its X-ray in *Analyse*. The archive at the end holds the table, the outlines and the masks."""
BATCH_FIELD = "X-rays"
BATCH_BUTTON = "Outline and classify all"
BATCH_STOP = "Stop"
BATCH_LEFT = "{} done, {} left."
BATCH_COLUMNS = ("No.", "Picture", "File", "Status", "Conclusion", "Right, %", "Left, %", "Both, %")
BATCH_NOTE = "Note"
BATCH_UNIT = "images"
BATCH_TABLE = "Results"
BATCH_FILES = "Table and archive"

# Compare models
FIGURES = """Scores of the checkpoints in use on the test images that their cards name, with 95 % intervals over
patients in brackets. Nothing is measured here. Each card tells how; *Models* shows them."""
CONTROLS = """**How much of a score needs the lungs?** The classes of public collections come from different hospitals,
and a network can name the hospital. A classifier that looks at the lungs falls to chance when they are hidden."""
SCORES_TABLE = "Classifiers"
CONTROLS_TABLE = "Controls"
OUTLINES_TABLE = "Outlines of the UNet"
ROC_CLASS = "ROC curve of the class"
ROC_TITLE = "ROC"
ROC_AXES = {"x_title": "False positives", "y_title": "True positives"}
RELIABILITY_TITLE = "How often right, by how sure it says it is"
RELIABILITY_AXES = {"x_title": "Probability", "y_title": "Right"}
CONFUSION_OF = "Confusion matrix of"
CONFUSION_TABLE = "Images"

# One plain request: what a status means, in its description
DIRECT_REFUSALS = {
    413: "The file is too large.",
    422: "The file cannot be read as an X-ray, or the sentences are not what they should be.",
    429: "Too many requests wait, of all visitors or of this address.",
    507: "The disk is full.",
}

# Models
CHECKPOINT_COLUMNS = ("Role", "Checkpoint", "Origin", "Revision", "Runs in")
STAND_IN_MARK = "(stand-in)"
RUNS_IN_PYTORCH = "{} runs in PyTorch: {}"  # role, reason
CARD_TITLE = "Model card: {}"
CARD_PICTURE = "[picture: {}]"
NO_CARD = "This checkpoint has no model card."
CHOOSE_TITLE = "Use another checkpoint"
CHOOSE = """Use another checkpoint for a role: `embedded`, a folder, or a Hub id as `user/repo` or `user/repo@revision`.
It is used for everyone who has this page open."""
CHOOSE_ROLE = "Role"
CHOOSE_CHECKPOINT = "Checkpoint"
CHOOSE_BUTTON = "Load"
CHOOSE_DOWNLOADING = "Downloading {:.0f} MB"
CHOOSE_UNIT = "bytes"
CHOOSE_LOADING = "Loading"
CHOOSE_DONE = "{} is now {}."  # role, checkpoint

# Refusals of a file or a question
REFUSAL_TITLE = "Error"
CHOOSE_FIRST = "Drop a chest X-ray first, or choose one of the examples."
CHOOSE_FILES_FIRST = "Choose some files first, or a zip archive of them."
FORGOTTEN = "The page no longer remembers this X-ray; drop or choose it again."
NOT_HERE = "The page does not have this file, or no longer; drop or choose it again."
"""The sentence for every path that is not admitted, whatever is there."""
NO_PROMPTS = 'Give a list of sentences for each class, as in {"Normal": ["clear lungs"]}.'
NO_SENTENCE = "Write at least one sentence for {}."
NO_SENTENCE_AND = " and "
NOT_ON_THE_LIST = "This checkpoint is not on the list of this page's owner; choose one of {}."
NO_ANSWER = "{} does not answer to an X-ray ({})."  # checkpoint, reason
CARD_TOO_LARGE = "its card has more than {:.0f} MB"  # the reason in the next
CARD_DAMAGED = "The card or the record of {} is damaged: {}."  # checkpoint, reason
NOT_EXCHANGED = "{} The {} in use stays."  # reason, role

# Refusals of more than is taken: how many there are, then how many may be
MANY_CLASSES = "There are {:,} classes; at most {} are compared at once, so leave some out."
MANY_SENTENCES = "There are {:,} sentences; at most {} are compared at once, so leave some out."
LONG_SENTENCE = "A sentence has {:,} characters; CLIP reads at most {}, so shorten it."
LONG_CLASS = "A class's name has {:,} characters; at most {} are taken, so shorten it."
MANY_FILES = "There are {:,} files; one batch takes at most {}. Pack them into a zip, or send some."
MANY_IMAGES = (
    "There are {:,} X-rays; one batch here takes at most {}. Send some, or run the project's own command on your "
    "computer."
)
BUSY = "The page is currently busy: {} requests are waiting. Try again in a minute."
BUSY_WITH_YOURS = "{} of your requests are waiting already. Wait for one of them, then ask again."
BATCHES_BUSY = "{} batches are waiting already. Try again later, or run the project's own command on your computer."
YOUR_BATCHES = "{} of your batches are waiting already. Wait for one of them, then send the next."
TOO_LARGE = "The request is larger than {} MB, the most that is taken. Send a smaller one."

# Refusals of a request, and faults
DISK_FULL = "The page's disk is full. Try again in an hour, when old files are gone."
NOT_UNDERSTOOD = "The inputs are not of the kinds that this event takes; the page's API description tells them."
REQUEST_NOT_UNDERSTOOD = "The request is not one that the page understands."
NO_EVENT = "There is no such event on this page."
NO_ADDRESS = "There is nothing here."
VISITOR_LEFT = "The visitor left."
FAILED = "Something went wrong on the page's side. Try again; the owner of the page finds the reason in its log."
