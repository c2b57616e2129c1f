"""One verdict for every way of asking: may this picture be read as a frontal chest X-ray?"""

from collections.abc import Sequence

from hub_models.xray.masks import Masks

UNLIKE = """This does not look like a frontal chest X-ray: a photograph, another part of the body, a view from the side
or a picture that lies on its side may be the reason."""
NO_LUNGS = "No lungs were found: this may not be a frontal chest X-ray, or it may be too dark or too light to outline."
MEANINGLESS = "What models say of such a picture means nothing."


def reasons_against(masks: Masks, header: Sequence[str] = ()) -> tuple[str, ...]:
    """List why a picture is refused, each in a sentence; nothing if it may be read.

    Args:
        masks: its outlines, with the strangeness that the UNet measured.
        header: reasons that its file gives, as `Xray.reasons` holds them.
    """
    seen = [UNLIKE] if masks.strange else []
    if not masks.lungs.any():
        seen.append(NO_LUNGS)
    return (*header, *(" ".join(reason.split()) for reason in seen))
