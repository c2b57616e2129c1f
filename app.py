"""The page: one chest X-ray in; its lungs, its infected region and every classifier's probabilities out.

    python app.py
    python app.py --mcp          assistants can call it, too (needs the package mcp)
    python app.py --exchange     visitors may put another checkpoint from the Hub in place, for all who have it open

serves it on http://127.0.0.1:7860 (GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that). A Space runs it as it is.
"""

import argparse
import importlib.util
from importlib.metadata import version

from hub_models.page.imports import no_garbage_collection

with no_garbage_collection():  # the page opens half a second sooner
    from hub_models.checkpoints.folder import CheckpointError
    from hub_models.engines.quiet import no_telemetry
    from hub_models.page.exchange import Exchange
    from hub_models.page.folder import open_folder
    from hub_models.page.layout import build_demo
    from hub_models.page.server import address, ending_in_time, serve

__all__ = ["build_demo", "main"]


def main() -> None:
    """Serve the page until it is stopped; it opens before the models are loaded."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as tools for assistants, too")
    parser.add_argument(
        "--exchange",
        nargs="*",
        metavar="CHECKPOINT",
        help="let visitors put another checkpoint in place, for everyone: one of these folders and Hub ids, or, if "
        "none is named, any from the Hub",
    )
    args = parser.parse_args()
    if args.mcp and not importlib.util.find_spec("mcp"):
        raise SystemExit(f"--mcp needs the package mcp: pip install 'gradio[mcp]=={version('gradio')}'.")
    listen, exchange = address(), Exchange.from_environment(args.exchange)
    with ending_in_time(), open_folder() as folder:
        try:
            serve(folder, listen, args.mcp, exchange)
        except CheckpointError as error:
            raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
