"""A client of the page's plain request."""

from pathlib import Path

import httpx


class PageError(RuntimeError):
    """A page that does not open or answer; the message is one sentence."""


class PlainClient:
    """A client of the page's plain request, `POST /api/analyse`."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=None)

    def analyse(self, xray: Path) -> dict:
        """Ask for an X-ray's answers and its outlined picture.

        Raises:
            PageError: the page refuses.
        """
        fields = {"overlay": "true"}
        answer = self._client.post("/api/analyse", files={"file": (xray.name, xray.read_bytes())}, data=fields)
        if answer.status_code != 200:
            raise PageError(f"The page refuses with status {answer.status_code}.")
        return answer.json()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
