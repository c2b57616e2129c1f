"""Measures, side by side in one run, how soon the networks, the pipeline, the page and a batch answer."""


class WrongUse(ValueError):
    """The command line asks for what cannot be done; the message is one sentence."""
