"""The processes of one training, as torchrun and accelerate start them: which this is, and waiting for the others."""

from torch import distributed


def started_together() -> bool:
    """Return whether this process is one of several of a training."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def share() -> tuple[int, int]:
    """Return this process's number, from 0, and how many there are; (0, 1) for one alone."""
    return (distributed.get_rank(), distributed.get_world_size()) if started_together() else (0, 1)


def is_first() -> bool:
    """Return whether this is the process that saves, measures and writes."""
    return share()[0] == 0


def wait() -> None:
    """Wait until every process has come here."""
    if started_together():
        distributed.barrier()
