"""The folder of a batch's results: used by one process at a time, and left so that a stopped batch can go on."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from hub_models.checkpoints.folder import Checkpoint, answers_digest

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.models.labels import Prompts

RUN_FILE = "run.json"
LOCK_FILE = ".in-use.lock"
UNFINISHED = ".unfinished"
BEFORE_RUN_FILE = {LOCK_FILE, UNFINISHED}
"""Names of what a process may leave that was killed before it had written `RUN_FILE`."""


class CannotGoOn(RuntimeError):
    """A batch that can neither begin nor go on; the message is one sentence."""


@contextmanager
def reserve(path: Path) -> Iterator[None]:
    """Make a folder for results, or take one that a batch has begun, and keep other processes out of it meanwhile.

    Raises:
        CannotGoOn: if it holds anything else, cannot be made, or another process uses it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / RUN_FILE).is_file() and {file.name for file in path.iterdir()} - BEFORE_RUN_FILE:
            raise CannotGoOn(f"The folder {path} is not empty, and nothing in it is overwritten; name a new one.")
        lock = FileLock(path / LOCK_FILE)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CannotGoOn(
            f"Another process is writing its results into {path}; wait until it has ended, or name another folder."
        ) from error
    except OSError as error:
        raise CannotGoOn(f"{path} cannot be the folder of the results ({error.strerror}); name another.") from error
    try:
        yield
    finally:
        lock.release()


def request(
    checkpoints: Mapping[str, Checkpoint],
    engines: Mapping[str, str],
    columns: list[str],
    prompts: "Prompts | None",
    options: Mapping[str, bool],
) -> dict[str, Any]:
    """Record everything that all results of a batch have in common, ready for JSON.

    Args:
        checkpoints: role -> checkpoint.
        engines: role -> the engine that runs its networks, in words.
        columns: those of the table.
        prompts: sentences of each class for the zero-shot CLIP; None for its own.
        options: the switches of the command, name -> whether it was given.
    """
    models = {
        role: {"name": checkpoint.name, "sha256": answers_digest(checkpoint.folder), "engine": engines.get(role)}
        for role, checkpoint in checkpoints.items()
    }
    sentences = None if prompts is None else {label: list(texts) for label, texts in prompts.items()}
    return {"prompts": sentences, "options": dict(options), "models": models, "columns": columns}


def begin(path: Path, wanted: Mapping[str, Any]) -> None:
    """Write what is asked, from `request`, into a new folder of results, or make sure that it is what was asked before.

    Raises:
        CannotGoOn: if something else was asked, or the folder cannot be written to.
    """
    record = path / RUN_FILE
    try:
        if not record.exists():
            aside = path / UNFINISHED
            aside.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
            aside.replace(record)
        before = json.loads(record.read_text(encoding="utf-8"))
        differences = _differences(before, wanted)
    except OSError as error:
        raise CannotGoOn(
            f"{record} cannot be written ({error.strerror}); see to that, or name a new folder."
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CannotGoOn(f"{record} is not what this command wrote; name a new folder.") from error
    if differences:
        listed = " and ".join(differences)
        raise CannotGoOn(f"The results in {path} were made {listed}; name a new folder, or ask as before.")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in a few words each how the earlier request was different."""
    differences = []
    if before["prompts"] != now["prompts"] or list(before["prompts"] or ()) != list(now["prompts"] or ()):
        differences.append("with other prompts" if before["prompts"] else "without --prompts")
    for option, given in now["options"].items():
        if (earlier := before["options"].get(option, False)) != given:
            differences.append(f"with --{option}" if earlier else f"without --{option}")
    for role, model in now["models"].items():
        earlier = before["models"][role]
        if earlier["sha256"] != model["sha256"]:
            differences.append(f"with another checkpoint for {role} ({earlier['name']})")
        elif earlier["engine"] != model["engine"]:
            differences.append(f"with another engine for {role} ({earlier['engine']})")
    if not differences and before["columns"] != now["columns"]:
        differences.append("with other columns")
    return differences


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, which gets its name once everything is in it, and is gone after an error.

    A folder of that name whose files would all be written again is replaced: a batch was killed before its row.

    Raises:
        FileExistsError: if a folder of that name holds other files.
    """
    unfinished = path.with_name(UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        yield unfinished
        if path.exists():
            others = {file.name for file in path.iterdir()} - {file.name for file in unfinished.iterdir()}
            if others:
                raise FileExistsError(0, f"{path} holds {min(others)}, which this command did not write")
            shutil.rmtree(path)
        unfinished.rename(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
