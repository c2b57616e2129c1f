"""Corrections that visitors give to the owner of the page: kept on the disk at once, and later sent to a data set."""

import logging
import os
import shutil
import threading
from pathlib import Path

from huggingface_hub import CommitInfo, CommitScheduler, constants

from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.checkpoints.hub_id import is_hub_id
from hub_models.reports.corrections import Corrected, write_record

logger = logging.getLogger(__name__)

VARIABLE = "XRAY_FEEDBACK"
"""Environment variable with the Hub id, USER/NAME, of the data set that gets corrections; unset, nothing is sent."""
MINUTES = 5
"""Between two commits."""


class PrivateScheduler(CommitScheduler):
    """A scheduler that commits to a private data set only, and deletes what was sent."""

    def push_to_hub(self) -> CommitInfo | None:
        """Commit what is in the folder; nothing if the data set is public, or the Hub does not answer."""
        records = [path for path in self.folder_path.iterdir() if path.is_dir()]
        try:
            if not self.api.repo_info(self.repo_id, repo_type=self.repo_type).private:
                logger.error("Corrections wait on the disk: %s is public; make it private.", self.repo_id)
                return None
            commit = super().push_to_hub() if records else None
        except HUB_ERRORS as error:
            logger.error("Corrections wait on the disk: %s", hub_failure(error, self.repo_id))
            return None
        for record in records if commit else ():
            shutil.rmtree(record)
        return commit


class Feedback:
    """The data set of corrections.

    Attributes:
        repo_id: its Hub id.
        folder: where records wait until they are sent. What an earlier process left there is sent, too.
    """

    def __init__(self, repo_id: str, folder: Path | None = None) -> None:
        self.repo_id = repo_id
        self.folder = folder or Path(constants.HF_HOME, "lung-xray-corrections", repo_id.replace("/", "--"))
        self._starting = threading.Lock()
        self._scheduler: PrivateScheduler | None = None
        if self.folder.is_dir() and any(self.folder.iterdir()):
            self._start()

    @classmethod
    def from_environment(cls) -> "Feedback | None":
        """Return the data set that `VARIABLE` names; None if it names none.

        Raises:
            SystemExit: it is not a Hub id.
        """
        repo_id = os.environ.get(VARIABLE, "").strip()
        if not repo_id:
            return None
        if not is_hub_id(repo_id):
            raise SystemExit(f"{VARIABLE} is {repo_id!r}; write the Hub id of a data set, USER/NAME.")
        return cls(repo_id)

    def give(self, corrected: Corrected) -> None:
        """Keep a correction for the owner; once this returns, no end of the process loses it.

        Raises:
            OSError: it cannot be written.
        """
        write_record(self.folder, corrected)
        self._start()

    def _start(self) -> None:
        threading.Thread(target=self.scheduler, daemon=True).start()

    def scheduler(self) -> PrivateScheduler | None:
        """Return what sends the folder's records, which makes the data set if there is none; None without the Hub."""
        with self._starting:
            if self._scheduler is None:
                target = {"repo_id": self.repo_id, "repo_type": "dataset", "private": True}
                try:
                    self._scheduler = PrivateScheduler(folder_path=self.folder, every=MINUTES, **target)
                except HUB_ERRORS as error:
                    logger.error("Corrections wait on the disk: %s", hub_failure(error, self.repo_id))
            return self._scheduler
