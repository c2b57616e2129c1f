"""Write the model cards of checkpoint folders again, from their facts.

    python -m hub_models.cards FOLDER...

The facts stay as they are.
"""

import argparse
from pathlib import Path

from hub_models.cards.facts import CardFacts
from hub_models.engines.quiet import no_telemetry


def main(argv: list[str] | None = None) -> None:
    """Write the README.md of each folder on the command line."""
    no_telemetry()
    parser = argparse.ArgumentParser(
        prog="python -m hub_models.cards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a checkpoint's folder")
    for folder in parser.parse_args(argv).folders:
        CardFacts.load(folder).save(folder)


if __name__ == "__main__":
    main()
