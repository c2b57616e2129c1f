"""The benchmark: response times of the networks, the pipeline, the page and a batch, side by side in one run."""


class WrongUse(ValueError):
    """A command line that cannot be carried out; the message is one sentence."""
