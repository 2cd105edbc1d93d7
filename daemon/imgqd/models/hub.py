"""The model hub: what of it is on this disk, whether it answers, and fetching from it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from imgq.errors import Refused

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
)


class NoHub(Exception):
    """The hub cannot be asked, for the reason given."""


@dataclass(frozen=True, slots=True)
class Hub:
    """folder: where downloads go, in the hub's own layout; the user's cache is looked at too."""

    folder: Path

    def cached(self, repository: str, file: str) -> Path | None:
        """A file of the hub that is on this disk already."""
        for folder in (self.folder, Path(constants.HF_HUB_CACHE)):
            found = huggingface_hub.try_to_load_from_cache(repository, file, cache_dir=folder)
            if isinstance(found, str) and os.path.isfile(found):
                return Path(found)
        return None

    def cached_tokenizer(self, repository: str) -> Path | None:
        """The folder of a tokenizer's files."""
        config = self.cached(repository, "tokenizer_config.json")
        return None if config is None else config.parent

    def fetch(self, repository: str, file: str, timeout: float) -> Path:
        """Downloads a file, with a progress bar on a terminal; goes on where an earlier try ended.

        Raises NoHub where there is no network, Refused where the hub has no such file for us.
        """
        try:
            place = huggingface_hub.hf_hub_download(
                repository, file, cache_dir=self.folder, etag_timeout=timeout
            )
        except Exception as error:
            raise _said(error, repository, file) from error
        return Path(place)

    def fetch_tokenizer(self, repository: str, timeout: float) -> Path:
        """Downloads a tokenizer's files and returns their folder. Raises as `fetch` does."""
        try:
            place = huggingface_hub.snapshot_download(
                repository,
                cache_dir=self.folder,
                allow_patterns=list(TOKENIZER_FILES),
                etag_timeout=timeout,
            )
        except Exception as error:
            raise _said(error, repository, "tokenizer_config.json") from error
        return Path(place)


class Knock:
    """Asks whether the hub answers at all, beside whatever else is to be done meanwhile.

    A thread asks, since a name server that says nothing can be waited for, but not interrupted.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._until = time.monotonic() + timeout
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raises NoHub where no answer came in time."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        if self._thread.is_alive():
            raise NoHub(f"{_host()} gave no answer within {self._timeout:g} s")
        if self._failure is not None:
            raise NoHub(f"{_host()} cannot be reached: {self._failure}")

    def _ask(self) -> None:
        try:
            huggingface_hub.get_session().head(constants.ENDPOINT, timeout=self._timeout)
        except Exception as error:
            self._failure = error


def shut() -> None:
    """From here on no library asks the hub anything in this process, whatever it is given to load."""
    constants.HF_HUB_OFFLINE = True


def _said(error: Exception, repository: str, file: str) -> Exception:
    if isinstance(error, LocalEntryNotFoundError):
        return NoHub(f"{_host()} did not deliver: {_in_a_line(error.__cause__ or error)}")
    if isinstance(error, EntryNotFoundError):
        return Refused(
            f"{_host()} has no {file} in {repository}: these weights are a pickle, or gone",
            "convert them to safetensors and bring them: `imgq model add NAME --weights FILE`",
        )
    if isinstance(error, GatedRepoError | RepositoryNotFoundError):
        return Refused(
            f"{_host()} does not give {repository} to just anybody, or has it no more",
            "where its page asks for consent, give it, and log in: `hf auth login`",
        )
    return NoHub(f"{_host()} did not deliver {file}: {_in_a_line(error)}")


def _in_a_line(error: BaseException) -> str:
    """Without what the libraries would have one read."""
    return str(error).partition("\n")[0]


def _host() -> str:
    return constants.ENDPOINT.partition("//")[2] or constants.ENDPOINT
