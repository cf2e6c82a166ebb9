"""Meetings of the replicas: what a test makes happen in them, and what their page said of the bot.

The pages are ours, written after what is known of the platforms; the names of their screens are
the same on all of them, so that one table of scenarios runs on each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Scenario:
    """How a meeting is when the bot comes.

    `screen` is what the page shows first, by its common name. `notice` lies over the room, a
    recording's. `api`: the client's own objects are reachable. `drifted`: class names and the
    order of elements differ. `reloads`: the page loads itself anew after the first join.
    `translated`: every label and text is in no language of ours. `shares`: somebody shows a screen.
    `ai_notes`: a question lies over the room that only a person may answer.
    """

    screen: str = "prejoin"
    lobby: bool = False
    password: str | None = None
    host_absent: bool = False
    full: bool = False
    notice: bool = False
    captions: bool = True
    api: bool = True
    drifted: bool = False
    typographic: bool = False
    reloads: bool = False
    translated: bool = False
    shares: bool = False
    ai_notes: bool = False
    people: tuple[str, ...] = ("Ada Park", "Ben Okafor")


@dataclass
class Guest:
    """The bot as the page told of it; `tell` sends to the page, `hang_up` ends the connection."""

    tell: Callable[[dict[str, Any]], None]
    hang_up: Callable[[], None] = lambda: None
    name: str = ""
    microphone: bool = True
    camera: bool = True
    heard: list[dict[str, Any]] = field(default_factory=list)


class ReplicaRoom:
    """One meeting. `present` is set while the bot is in it, `gone` when its page has left."""

    def __init__(self, scenario: Scenario, person: Callable[[int], str] = "a{:07x}".format) -> None:
        self.scenario = scenario
        self.guest: Guest | None = None
        self.knocked = asyncio.Event()
        self.present = asyncio.Event()
        self.gone = asyncio.Event()
        # Pages that were loaded, and pages that asked to come in.
        self.pages = 0
        self.joins = 0
        # Somebody pressed a button of a question that was not for bots.
        self.consented = False
        self._lets_in = False
        self.passwords: list[str] = []
        self.captions_wanted = False
        self.signal: Callable[[dict[str, Any]], None] = lambda _: None
        self.came: Callable[[dict[str, Any]], None] = lambda _: None
        self.chat: list[str] = []
        self.people = [
            {"id": person(index), "name": name, "host": index == 0, "muted": False}
            for index, name in enumerate(scenario.people)
        ]

    # What the test does

    def show(self, screen: str) -> None:
        """Another screen: denied, kicked, ended, lost, lobby, ..."""
        self._tell({"type": "screen", "name": screen})

    def admit(self) -> None:
        self._admit()

    def reload(self) -> None:
        """The page loads itself anew; whoever asks after that is let in."""
        self._lets_in = True
        self._tell({"type": "reload"})

    def cut(self) -> None:
        """The network between the page and its server is gone, for later pages, too."""
        self.scenario = replace(self.scenario, screen="lost", lobby=False)
        if self.guest is not None:
            self.guest.hang_up()

    def says(self, name: str, text: str) -> None:
        """Somebody writes into the chat."""
        who = next((one["id"] for one in self.people if one["name"] == name), "")
        self._tell({"type": "chat", "id": f"m{len(self.chat)}-{text}", "from": who, "text": text})

    def caption(self, caption_id: str, who: str, text: str, *, final: bool) -> None:
        said = {"id": caption_id, "from": who, "text": text, "final": final}
        self._tell({"type": "caption", **said})

    def comes(self, name: str) -> None:
        person = {"id": f"b{len(self.people):07x}", "name": name, "host": False, "muted": False}
        self.people.append(person)
        self._tell({"type": "people", "people": self.people, "came": person["id"]})
        self.came(person)

    def goes(self, name: str) -> None:
        went = next(one["id"] for one in self.people if one["name"] == name)
        self.people = [one for one in self.people if one["id"] != went]
        self._tell({"type": "people", "people": self.people, "went": went})

    def tell(self, message: dict[str, Any]) -> None:
        """To the page, as it is."""
        self._tell(message)

    # What the page says

    def hear(self, guest: Guest, message: dict[str, Any]) -> None:
        guest.heard.append(message)
        match message["type"]:
            case "join":
                self._asked(guest, message)
            case "password":
                self._tried(str(message["password"]))
            case "chat":
                self.chat.append(str(message["text"]))
                text = str(message["text"])
                self._tell(
                    {"type": "chat", "id": f"own{len(self.chat)}", "from": "me", "text": text}
                )
            case "captions":
                self.captions_wanted = True
            case "name":
                guest.name = str(message["name"])
            case "consented":
                self.consented = True
            case "left":
                self.gone.set()
            case "signal":
                self.signal(message)

    def _asked(self, guest: Guest, message: dict[str, Any]) -> None:
        self.joins += 1
        guest.name = str(message.get("name", ""))
        guest.microphone = bool(message.get("microphone"))
        guest.camera = bool(message.get("camera"))
        scenario = self.scenario
        if scenario.reloads and self.joins == 1:
            self._tell({"type": "reload"})
        elif scenario.full:
            self.show("full")
        elif scenario.host_absent:
            self.show("waiting_for_host")
            self.knocked.set()
        elif scenario.password is not None:
            self.show("password")
        elif scenario.lobby and not self._lets_in:
            self.show("lobby")
            self.knocked.set()
        else:
            self._admit()

    def _tried(self, password: str) -> None:
        self.passwords.append(password)
        if password == self.scenario.password:
            self._admit()
        else:
            self.show("wrong_password")

    def _admit(self) -> None:
        self._tell({"type": "admitted", "people": self.people})
        self.present.set()

    def _tell(self, message: dict[str, Any]) -> None:
        if self.guest is not None:
            self.guest.tell(message)

    def hello(self) -> dict[str, Any]:
        """What a page is told first. The password stays here."""
        told = asdict(self.scenario) | {"password": self.scenario.password is not None}
        return {"type": "scenario", "scenario": told}
