"""Lists of jobs: what is in them, and that a long list is read from an index (API-10, CV-13)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.ids import first_id, new_id
from core.jobs.lifecycle import Status
from core.jobs.listing import JobFilter, list_jobs
from core.jobs.models import Job
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

# What this connection has read of the table so far, in all, and by way of an index.
READ = text(
    "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'jobs'"
)
FILTERS = [
    JobFilter(),
    JobFilter(statuses=frozenset({Status.FAILED})),
    JobFilter(statuses=frozenset({Status.RECORDING, Status.IN_MEETING})),
    JobFilter(platforms=frozenset({"zoom"})),
    JobFilter(statuses=frozenset({Status.QUEUED}), platforms=frozenset({"zoom", "meet"})),
    JobFilter(external_id="call-7"),
]


async def listed(book: JobBook, wanted: JobFilter, **more: Any) -> list[dict[str, Any]]:
    told: dict[str, Any] = {"limit": 50, "columns": ("id",)} | more
    async with book.database.begin() as session:
        return await list_jobs(session, book.team_id, True, wanted, **told)


async def test_filters_are_ors_within_and_ands_between(book: JobBook) -> None:
    """API-70."""
    a, b, c = [await book.add(platform=name) for name in ("meet", "zoom", "zoom")]
    await book.bring_to(b, Status.RECORDING)

    async def ids(**wanted: Any) -> list[str]:
        return [job["id"] for job in await listed(book, JobFilter(**wanted))]

    assert await ids() == [c.id, b.id, a.id]
    assert await ids(platforms=frozenset({"zoom"})) == [c.id, b.id]
    assert await ids(statuses=frozenset({Status.QUEUED, Status.RECORDING})) == [c.id, b.id, a.id]
    queued, zoom = frozenset({Status.QUEUED}), frozenset({"zoom"})
    assert await ids(statuses=queued, platforms=zoom) == [c.id]
    assert await ids(statuses=queued, external_id=b.external_id) == []
    page = await listed(book, JobFilter(statuses=queued), limit=1)
    assert [job["id"] for job in page] == [c.id]
    rest = await listed(book, JobFilter(statuses=queued), limit=1, before_id=c.id)
    assert [job["id"] for job in rest] == [a.id]


async def test_rows_have_what_was_asked_for_and_no_more(book: JobBook) -> None:
    """Of one query, and of several that are merged."""
    job = await book.add()
    for statuses in (frozenset[Status](), frozenset({Status.QUEUED, Status.RECORDING})):
        columns = ("labels", "status", "id")
        (found,) = await listed(book, JobFilter(statuses=statuses), columns=columns)
        assert found == {"labels": job.labels, "status": Status.QUEUED, "id": job.id}


async def test_times_are_exclusive_and_cut_between_jobs_of_one_millisecond(book: JobBook) -> None:
    first = await book.add()
    book.clock.advance(0.0004)
    second = await book.add()
    at = first.created_at

    async def ids(**wanted: Any) -> set[str]:
        return {job["id"] for job in await listed(book, JobFilter(**wanted))}

    assert await ids(created_after=at) == {second.id}
    assert await ids(created_before=second.created_at) == {first.id}
    assert await ids(created_after=at - timedelta(days=1)) == {first.id, second.id}
    assert await ids(created_before=at) == set()


def test_ids_of_one_moment_are_in_the_order_of_their_making(book: JobBook) -> None:
    made = [new_id("job", book.now) for _ in range(100)]
    assert made == sorted(set(made))
    assert first_id("job", book.now) < made[0]
    assert made[-1] < first_id("job", book.now + timedelta(milliseconds=1))


@pytest.mark.parametrize("wanted", FILTERS)
async def test_no_list_reads_more_than_it_shows(book: JobBook, wanted: JobFilter) -> None:
    """Each list is read from an index, even where almost nothing matches it."""
    other = await JobBook.open(book.database, book.box, book.clock)
    for team in (book, other):
        await _many(team, Status.QUEUED, "meet", 10_000)
        await _many(team, Status.RECORDING, "zoom", 10_000)
        await _many(team, Status.FAILED, "teams", 5)
    for before in (None, first_id("job", book.now)):
        async with book.database.begin() as session:
            connection = await session.connection()
            scanned, fetched = (await connection.execute(READ)).one()
            found = await list_jobs(
                *(session, book.team_id, True, wanted),
                columns=("id", "status", "labels"),
                limit=50,
                before_id=before,
            )
            scanned_then, fetched_then = (await connection.execute(READ)).one()
        assert scanned_then == scanned
        # The planner itself looks up a few.
        assert fetched_then - fetched <= 2 * len(found) + 20


async def _many(book: JobBook, status: Status, platform: str, count: int) -> None:
    """A job, and copies of it that are a little younger."""
    book.clock.advance(1)
    like = await book.add(platform=platform)
    columns = [column.name for column in Job.__table__.columns]  # type: ignore[attr-defined]
    same = ", ".join(f'"{name}"' for name in columns if name not in {"id", "external_id", "status"})
    async with book.database.begin() as session:
        connection = await session.connection()
        await connection.execute(
            text(
                f"INSERT INTO jobs (id, external_id, status, {same}) "  # noqa: S608 - our own names
                "SELECT :first || lpad(n::text, 6, '0'), :first || n, :status, "
                f"{same} FROM jobs, generate_series(1, :count) n WHERE jobs.id = :like"
            ),
            {"first": like.id[:-6], "count": count, "status": status.value, "like": like.id},
        )
        await connection.execute(text("ANALYZE jobs"))
