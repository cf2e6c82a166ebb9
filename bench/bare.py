"""The baseline of the HTTP figures: bare FastAPI routes with one indexed query each.

`python -m bench.bare PORT`, with the database in MEETBOT_DATABASE_URL.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from sqlmodel import col, select

from core.database import Database
from core.jobs.models import Job
from core.settings import Settings

PAGE = 50


def create_bare_app(database: Database) -> FastAPI:
    """One job, and a page of them, as rows: nobody is asked who they are."""
    app = FastAPI()

    @app.get("/jobs/{id}")
    async def get(id: str) -> Job:  # noqa: A002 - as in the path
        async with database.begin() as session:
            return (await session.exec(select(Job).where(col(Job.id) == id))).one()

    @app.get("/jobs")
    async def list_() -> list[Job]:
        async with database.begin() as session:
            newest = select(Job).order_by(col(Job.id).desc()).limit(PAGE)
            return list((await session.exec(newest)).all())

    return app


def main() -> None:
    url = Settings().database_url
    if url is None:
        raise SystemExit("MEETBOT_DATABASE_URL is not set")
    uvicorn.run(
        create_bare_app(Database(url, pool_size=10)),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
    )


if __name__ == "__main__":
    main()
