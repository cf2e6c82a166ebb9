"""Mails on disk until the API has what is in them, so that nothing is lost (CAL-02)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import Unavailable
from intake.authentication import Verdicts


@dataclass(frozen=True)
class Received:
    """A mail as it came: `raw` and what its connection proved.

    `refusal` is why it is not read, in a sentence for its sender; `raw` is its headers then.
    """

    raw: bytes
    recipient: str
    envelope_from: str
    verdicts: Verdicts
    refusal: str | None = None


class Spool:
    """A folder with a file per mail, each complete or not there. Names are in order of arrival."""

    def __init__(self, folder: Path, *, most: int) -> None:
        self._folder = folder
        self._most = most
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for rest in folder.glob("*.part"):
            rest.unlink(missing_ok=True)

    def put(self, name: str, mail: Received) -> None:
        """Keep `mail`; when this returns it outlives a loss of power. The same name again is it.

        Raises:
            Unavailable: too many wait, or the disk takes no more.
        """
        path = self._folder / f"{name}.json"
        if path.exists():
            return
        if len(self.names()) >= self._most:
            raise Unavailable("Too many mails wait for the API.")
        text = json.dumps(
            {
                "raw": base64.b64encode(mail.raw).decode(),
                "recipient": mail.recipient,
                "envelope_from": mail.envelope_from,
                "verdicts": asdict(mail.verdicts),
                "refusal": mail.refusal,
            }
        )
        part = path.with_suffix(".part")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(part, flags, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(self._folder)
        except OSError as exc:
            part.unlink(missing_ok=True)
            raise Unavailable(f"The mail could not be kept: {exc.strerror}.") from exc

    def names(self) -> Sequence[str]:
        """What waits, the oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def get(self, name: str) -> Received:
        """A mail that waits."""
        data = json.loads((self._folder / f"{name}.json").read_text())
        return Received(
            raw=base64.b64decode(data["raw"]),
            recipient=data["recipient"],
            envelope_from=data["envelope_from"],
            verdicts=Verdicts(**data["verdicts"]),
            refusal=data.get("refusal"),
        )

    def done(self, name: str) -> None:
        """Forget a mail."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
