"""Where the raw rows of a day come from: a folder, S3, a web address, or the built-in simulated auction.

One small protocol and its four real children, chosen by one address. Not here: what is done with the rows.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Protocol

import pandas as pd

from pipeline.datasets.declaration import Dataset
from pipeline.errors import SettingsInvalid
from pipeline.sources.folder import folder_source
from pipeline.sources.http import HttpSource
from pipeline.sources.s3 import S3Source
from pipeline.sources.simulated import SimulatedSource

FORMS = "simulated:, folder:PATH, s3://bucket/prefix or https://.../{day}..."


class Source(Protocol):
    """Gives the rows of a day as they were delivered. ``description`` is shown to people."""

    description: str

    def read(self, day: date) -> pd.DataFrame:
        """The raw rows of a day: the columns as delivered, text as text, nothing cleaned; empty: no sales.

        Raises ``SourceUnavailable`` (try again) or ``DataInvalid`` (the delivery is not what it should be).
        """

    def newest_day(self) -> date | None:
        """The newest day that has rows, or None where that cannot be known. Raises as ``read`` does."""


def open_source(uri: str, dataset: Dataset, *, seed: int, today: date) -> Source:
    """The source at an address. ``seed`` and ``today`` matter to the simulated auction: it has sales until yesterday.

    Raises:
        SettingsInvalid: the address is none of the known forms, or does not fit the dataset.
    """
    scheme, _, rest = uri.partition(":")
    if uri == "simulated:":
        return SimulatedSource(dataset, seed, today)
    if scheme == "folder" and rest:
        return folder_source(Path(rest).expanduser().absolute(), dataset)
    if scheme == "s3" and rest:
        return S3Source(uri, dataset)
    if scheme in ("http", "https") and rest:
        return HttpSource(uri, dataset)
    raise SettingsInvalid(f"{uri!r} is not a source; write {FORMS}")
