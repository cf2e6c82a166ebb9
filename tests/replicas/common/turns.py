"""Three receivers for everybody, as a server rotates them: who begins to speak gets one of them.

As on the platform, a receiver's headers still name who had it before, for seconds and in any
order, and levels are not steady. A receiver always carries somebody, who may be silent. Everything
is drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sandbox.tracks import Sound
from tests.replicas.common.mixing import LEVEL_JITTER_DB, SEED, VOICE_DBOV

RECEIVERS = 3
NOTHING = Sound(payload=None)
# How long a receiver is kept in silence, and how long its headers name who had it before; frames.
KEPT_FRAMES = (15, 40)
LINGER_FRAMES = (60, 200)


@dataclass(frozen=True)
class Carried:
    """What a receiver carries in one frame, and the sources in its header."""

    sound: Sound = NOTHING
    sources: tuple[int, ...] = ()


@dataclass
class _Receiver:
    holder: str
    kept_until: int = 0
    # Until when its headers name those who had it, by person.
    former: dict[str, int] = field(default_factory=dict)

    def take(self, holder: str, until: int) -> None:
        self.former[self.holder] = until
        self.former.pop(holder, None)
        self.holder = holder


class Rotation:
    """`sources` are people's contributing sources; `sound(key, frame)` is what somebody sends.

    `voiced(key, frame)` is called for each frame of a voice that is carried.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        sound: Callable[[str, int], Sound],
        voiced: Callable[[str, int], None],
        seed: int = SEED,
    ) -> None:
        # How often somebody got another receiver, and how many headers named more than one.
        self.turns = 0
        self.lingered = 0
        self._sources = sources
        self._sound = sound
        self._voiced = voiced
        self._draw = random.Random(seed)  # noqa: S311 - a script
        self._receivers = [_Receiver(key) for key in islice(sources, RECEIVERS)]
        self._made: dict[int, list[Carried]] = {}
        self._newest = -1

    def at(self, receiver: int, frame: int) -> Carried:
        """The tracks ask one after the other; the first one that asks for a frame makes it."""
        if frame > self._newest:
            self._newest = frame
            self._made[frame] = self._carry(frame)
            self._made.pop(frame - 50, None)
        made = self._made.get(frame)
        return made[receiver] if made else Carried()

    def _carry(self, frame: int) -> list[Carried]:
        sounds = {key: self._sound(key, frame) for key in self._sources}
        for key, sound in sounds.items():
            if sound.payload is not None and sound.level > VOICE_DBOV:
                self._give(key, frame)
                self._voiced(key, frame)
        return [self._carried(one, sounds, frame) for one in self._receivers]

    def _give(self, key: str, frame: int) -> None:
        """Who begins to speak gets a receiver that nobody speaks on; its holder goes to theirs."""
        own = next((one for one in self._receivers if one.holder == key), None)
        if own is None or own.kept_until < frame:
            free = [one for one in self._receivers if one.kept_until < frame]
            other = self._draw.choice(free or self._receivers)
            if other is not own:
                until = frame + self._draw.randint(*LINGER_FRAMES)
                if own is not None:
                    own.take(other.holder, until)
                other.take(key, until)
                self.turns += 1
            own = other
        own.kept_until = frame + self._draw.randint(*KEPT_FRAMES)

    def _carried(self, receiver: _Receiver, sounds: Mapping[str, Sound], frame: int) -> Carried:
        receiver.former = {who: until for who, until in receiver.former.items() if until > frame}
        sound = sounds[receiver.holder]
        jitter = self._draw.randint(-LEVEL_JITTER_DB, LEVEL_JITTER_DB)
        level = max(-127, min(0, sound.level + jitter))
        named = [self._sources[one] for one in (receiver.holder, *receiver.former)]
        self.lingered += len(named) > 1
        self._draw.shuffle(named)
        return Carried(Sound(sound.payload, level), tuple(named))
