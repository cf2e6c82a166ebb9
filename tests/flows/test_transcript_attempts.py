"""Attempts at a transcript that die, are overtaken or wear out (D18, API-86)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.errors import StaleAttempt, StorageError
from core.jobs.spec import TranscriptionOptions
from core.transcripts import requests
from core.transcripts.models import RequestStatus, TranscriptRequest
from flows import delivery, transcripts
from flows.holding import Deaths
from tests.flows.transcribing import ADDON, Team

pytestmark = [pytest.mark.integration, pytest.mark.media, pytest.mark.timeout(120)]


async def test_what_an_attempt_did_before_it_died_is_not_done_again(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        taken = await requests.take(session, request_id, now=team.book.now)
    assert taken is not None
    storage = await team.resources.storage_of(job)
    first = await transcripts._made(team.resources, storage, *taken)
    # It died before it could bill. Nobody else begins while it may still be at work.
    assert not await transcripts.attempt(team.resources, request_id)
    team.book.clock.advance(requests.LEASE_SECONDS)
    assert await transcripts.attempt(team.resources, request_id)
    assert await team.manifest(job) == first
    assert await team.charged(job) == [2]


async def test_an_attempt_that_was_too_slow_writes_nothing(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        slow = await requests.take(session, request_id, now=team.book.now)
    team.book.clock.advance(requests.LEASE_SECONDS)
    assert slow is not None
    assert await transcripts.attempt(team.resources, request_id)
    with pytest.raises(StaleAttempt, match="too slow"):
        await transcripts._still_ours(team.resources, slow[1])


async def test_the_next_attempt_begins_seconds_after_one_that_died(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        assert await requests.take(session, request_id, now=team.book.now)
    team.book.clock.advance(requests.LEASE_SECONDS - 1)
    assert await team.due() == []
    team.book.clock.advance(1)
    assert await team.due() == [request_id]


async def test_a_death_that_the_worker_saw_ends_the_claim_at_once(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    async with team.book.database.begin() as session:
        assert await requests.take(session, request_id, now=team.book.now)
    await Deaths(team.resources).of_transcript(request_id)
    assert await team.due() == [request_id]
    await Deaths(team.resources).of_transcript("trn_erased_meanwhile")


async def test_a_living_attempt_keeps_its_claim_however_long_it_takes(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = team.book.clock
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    understood = delivery.understood

    async def slowly(*args: Any) -> Any:
        for _ in range(4):
            held = (await team.request(request_id)).claimed_until
            clock.advance(requests.RENEW_SECONDS)
            async with asyncio.timeout(30):
                while (await team.request(request_id)).claimed_until == held:
                    await asyncio.sleep(0)
            assert await team.due() == []
        return await understood(*args)

    monkeypatch.setattr(delivery, "understood", slowly)
    assert await transcripts.attempt(team.resources, request_id)
    assert await team.charged(job) == [2]


async def test_an_attempt_that_was_overtaken_is_stopped(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = team.book.clock
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)

    async def frozen(*_: Any) -> Any:
        clock.advance(0)
        async with team.book.database.begin() as session:
            row = await session.get_one(TranscriptRequest, request_id)
            row.attempts += 1
        clock.advance(requests.RENEW_SECONDS)
        await asyncio.Event().wait()

    monkeypatch.setattr(delivery, "understood", frozen)
    assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).revision == 1


async def test_attempts_that_die_without_a_word_end_in_a_manifest_that_says_so(team: Team) -> None:
    """D18: nobody waits for ever; the transcript may be asked for again (API-86)."""
    job = await team.recorded(ADDON.model_copy(update={"wait": False}))
    request_id = (await team.pending(job)).id
    await team.wear_out(request_id)
    assert await team.due() == [request_id]
    assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.request(request_id)).status is RequestStatus.FAILED
    assert await team.due() == []
    manifest = await team.manifest(job)
    assert (manifest.transcript, manifest.revision) == ("failed", 2)
    assert manifest.transcript_failure is not None
    assert "died in every attempt" in manifest.transcript_failure
    assert await transcripts.attempt(team.resources, await team.ask(job, ADDON))
    manifest = await team.manifest(job)
    assert (manifest.transcript, manifest.revision) == ("ready", 3)
    assert manifest.transcript_failure is None
    assert await team.charged(job) == [3]


async def test_a_failure_is_written_down_when_storage_is_back(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await team.recorded(ADDON.model_copy(update={"wait": False}))
    request_id = (await team.pending(job)).id
    await team.wear_out(request_id)

    async def away(*_: Any) -> Any:
        raise StorageError("The bucket is away.")

    with monkeypatch.context() as patch:
        patch.setattr(transcripts, "_manifest", away)
        assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).transcript == "pending"
    assert (await team.request(request_id)).status is RequestStatus.PENDING
    team.book.clock.advance(requests.LONGEST_WAIT.total_seconds())
    assert await team.due() == [request_id]
    assert not await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).transcript == "failed"
