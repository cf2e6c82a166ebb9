"""The journal in storage: byte-identical, through outages, kills and damaged objects."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.recording.bundles import (
    BadBundle,
    BundleUploader,
    journal_prefix,
    pack,
    restore,
    unpack,
)
from bot.recording.finalize import finalize
from core.clock import SystemClock
from core.errors import StorageError
from core.recordings.journal import JOURNAL_NAME
from core.storage.base import StoredObject
from core.storage.local import LocalStorage
from tests.bot.recording.writing import JOB, write_attempt

pytestmark = pytest.mark.integration


class Flaky(LocalStorage):
    """Local storage that is away while `away` is set."""

    away = False

    def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        if self.away:
            raise StorageError("The storage does not answer.")
        return super().put_bytes(key, data, content_type)


@pytest.fixture
def storage(tmp_path: Path) -> Flaky:
    return Flaky(tmp_path / "bucket", files_url="http://files", link_secret=SecretStr("s"))


def uploader(work_dir: Path, storage: Flaky, fence: int = 1) -> BundleUploader:
    return BundleUploader(work_dir, fence, storage, 0.05, SystemClock())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("[0-9]*/*"))
    }


def keys(storage: Flaky) -> list[str]:
    return [stored.key for stored in storage.list(journal_prefix(JOB))]


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"\A[a-z0-9_-][a-z0-9_.-]{0,20}\Z"),
            st.integers(0, 2**40),
            st.binary(max_size=300),
        ),
        max_size=5,
    )
)
def test_a_bundle_gives_back_what_was_packed(parts: list[tuple[str, int, bytes]]) -> None:
    found = [(chunk.name, chunk.offset, data) for chunk, data in unpack(pack(parts))]
    assert found == parts


@pytest.mark.parametrize("at", [0, 3, 20, -1])
def test_a_damaged_bundle_is_refused(at: int) -> None:
    bundle = bytearray(pack([("audio.a.ogg", 0, b"sound"), (JOURNAL_NAME, 0, b"{}")]))
    bundle[at] ^= 0xFF
    with pytest.raises(BadBundle):
        list(unpack(bytes(bundle)))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", ".hidden", "a/b", ""])
def test_a_bundle_never_names_a_file_elsewhere(name: str) -> None:
    good = pack([("xx", 0, b"sound")])
    header = good[8:].replace(b'"xx"', b'"' + name.encode() + b'"')
    length = len(header) - len(b"sound")
    with pytest.raises(BadBundle):
        list(unpack(good[:4] + length.to_bytes(4, "little") + header))


async def test_another_machine_rebuilds_the_folder_byte_for_byte(
    tmp_path: Path, storage: Flaky
) -> None:
    """D8: the recording made of the restored folder is the same."""
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=4)
    async with uploader(work_dir, storage):
        pass
    there = tmp_path / "elsewhere" / JOB
    assert restore(storage, JOB, there) == len(keys(storage)) == 1
    assert contents(there) == contents(work_dir)
    digests = [[file.sha256 for file in finalize(folder).media] for folder in (work_dir, there)]
    assert digests[0] == digests[1]


async def test_the_next_attempt_sends_what_a_dead_one_left_unsent(
    tmp_path: Path, storage: Flaky
) -> None:
    """D8: its files are on this machine only, which may be lost as well."""
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=2, closed=False)
    dead = uploader(work_dir, storage)
    assert await dead.ship()
    for path in (work_dir / "1").iterdir():
        path.write_bytes(path.read_bytes() + b"what came later")
    storage.away = True
    assert not await dead.ship()

    write_attempt(work_dir, fence=2, start_ms=5000, seconds=2)
    async with uploader(work_dir, storage, 2) as second:
        assert not await second.ship()
        storage.away = False
    there = tmp_path / "elsewhere" / JOB
    restore(storage, JOB, there)
    assert contents(there) == contents(work_dir)
    sent = keys(storage)
    async with uploader(work_dir, storage, 3):
        pass
    assert keys(storage) == sent, "nothing is sent twice"


async def test_a_late_object_of_the_dead_attempt_does_no_harm(
    tmp_path: Path, storage: Flaky
) -> None:
    """D10: a frozen process may finish what it was sending when the next one has gone on for it."""
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=2)
    async with uploader(work_dir, storage):
        pass
    (work_dir / ".sent" / "1.json").write_text("torn")
    frozen = uploader(work_dir, storage)
    async with uploader(work_dir, storage, 2):
        pass
    assert await frozen.ship()
    there = tmp_path / "elsewhere" / JOB
    restore(storage, JOB, there)
    assert contents(there) == contents(work_dir)


async def test_attempts_of_other_machines_are_not_sent_again(
    tmp_path: Path, storage: Flaky
) -> None:
    work_dir, there = tmp_path / "work" / JOB, tmp_path / "elsewhere" / JOB
    write_attempt(work_dir, seconds=2)
    async with uploader(work_dir, storage):
        pass
    sent = keys(storage)
    restore(storage, JOB, there)
    async with uploader(there, storage, 2):
        pass
    assert keys(storage) == sent


async def test_what_grows_goes_up_in_pieces_and_nothing_twice(
    tmp_path: Path, storage: Flaky
) -> None:
    work_dir = tmp_path / "work" / JOB
    whole = tmp_path / "whole"
    write_attempt(whole, seconds=4)
    files = {path.name: path.read_bytes() for path in (whole / "1").iterdir()}
    (work_dir / "1").mkdir(parents=True)
    ship = uploader(work_dir, storage)
    for tenth in range(1, 11):
        for name, data in files.items():
            (work_dir / "1" / name).write_bytes(data[: len(data) * tenth // 10])
        assert await ship.ship()
    assert len(keys(storage)) == 10
    sizes = sum(stored.size for stored in storage.list(journal_prefix(JOB)))
    assert sizes < sum(map(len, files.values())) + 10 * 1000
    there = tmp_path / "there"
    restore(storage, JOB, there)
    assert contents(there) == contents(work_dir)


async def test_an_outage_is_waited_out(tmp_path: Path, storage: Flaky) -> None:
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=2)
    storage.away = True
    ship = uploader(work_dir, storage)
    assert not await ship.ship()
    assert ship.failures == 1
    assert ship.lag_bytes > 0
    storage.away = False
    assert await ship.ship()
    assert ship.failures == 0
    there = tmp_path / "there"
    restore(storage, JOB, there)
    assert contents(there) == contents(work_dir)


async def test_two_attempts_have_their_own_numbers(tmp_path: Path, storage: Flaky) -> None:
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=2, closed=False)
    write_attempt(work_dir, seconds=2, fence=2, start_ms=5_000)
    for fence in (1, 2):
        assert await uploader(work_dir, storage, fence).ship()
    assert keys(storage) == [f"{journal_prefix(JOB)}{fence}/000000" for fence in (1, 2)]
    there = tmp_path / "there"
    assert restore(storage, JOB, there) == 2
    assert contents(there) == contents(work_dir)


async def test_a_missing_bundle_costs_what_follows_it_and_nothing_before(
    tmp_path: Path, storage: Flaky
) -> None:
    work_dir = tmp_path / "work" / JOB
    whole = tmp_path / "whole"
    write_attempt(whole, seconds=4)
    files = {path.name: path.read_bytes() for path in (whole / "1").iterdir()}
    (work_dir / "1").mkdir(parents=True)
    ship = uploader(work_dir, storage)
    for third in (1, 2, 3):
        for name, data in files.items():
            (work_dir / "1" / name).write_bytes(data[: len(data) * third // 3])
        await ship.ship()
    storage.delete([f"{journal_prefix(JOB)}1/000001"])
    there = tmp_path / "there"
    restore(storage, JOB, there)
    for name, data in files.items():
        assert (there / "1" / name).read_bytes() == data[: len(data) // 3]


async def test_nothing_new_makes_no_object(tmp_path: Path, storage: Flaky) -> None:
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=2)
    ship = uploader(work_dir, storage)
    await ship.ship()
    await ship.ship()
    assert len(keys(storage)) == 1


async def test_it_ships_by_itself_while_its_block_runs(tmp_path: Path, storage: Flaky) -> None:
    work_dir = tmp_path / "work" / JOB
    write_attempt(work_dir, seconds=2)
    async with uploader(work_dir, storage):
        for _ in range(400):
            if keys(storage):
                break
            await asyncio.sleep(0.01)
        assert keys(storage)
