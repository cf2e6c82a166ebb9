"""The baseline of the HTTP figures: one FastAPI route with one indexed query, and nothing else.

`python -m bench.bare PORT`, with the database in MEETBOT_DATABASE_URL.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs.models import Job
from core.settings import Settings


def create_bare_app(url: SecretStr) -> FastAPI:
    """`GET /jobs/{id}`: no authentication, no envelope; the pool is the API's."""
    address = make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    engine = create_async_engine(address, pool_size=10, max_overflow=10)
    app = FastAPI()

    @app.get("/jobs/{id}")
    async def get(id: str) -> dict[str, str]:  # noqa: A002 - as in the path
        async with AsyncSession(engine) as session:
            found = select(Job.id, Job.status).where(col(Job.id) == id)
            job_id, status = (await session.exec(found)).one()
        return {"id": job_id, "status": status}

    return app


def main() -> None:
    url = Settings().database_url
    if url is None:
        raise SystemExit("MEETBOT_DATABASE_URL is not set")
    uvicorn.run(
        create_bare_app(url),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
    )


if __name__ == "__main__":
    main()
