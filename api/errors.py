"""From errors to answers: one table, one envelope (CV-09, CV-10, CV-18)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core import errors as domain
from core.errors import (
    BadInput,
    Expired,
    Forbidden,
    IdempotencyMismatch,
    InvalidState,
    Issue,
    MeetbotError,
    NotFound,
    PaymentRequired,
    PaymentServiceError,
    RateLimited,
    StaleAttempt,
    StorageError,
    TooLarge,
    Unauthorized,
    Unavailable,
)

log = logging.getLogger(__name__)

# Subclasses before their base; what is not listed is a 500.
STATUSES: Final[tuple[tuple[type[MeetbotError], int], ...]] = (
    (BadInput, 400),
    (Unauthorized, 401),
    (PaymentRequired, 402),
    (Forbidden, 403),
    (NotFound, 404),
    (InvalidState, 409),
    (IdempotencyMismatch, 409),
    (StaleAttempt, 409),
    (Expired, 410),
    (TooLarge, 413),
    (RateLimited, 429),
    (StorageError, 502),
    (PaymentServiceError, 502),
    (Unavailable, 503),
)
# The class of an error, by status; the code is more exact where they differ.
CLASSES: Final = {
    400: "invalid_input",
    401: "unauthorized",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "gone",
    413: "too_large",
    429: "rate_limited",
    500: "internal_error",
    502: "storage_error",
    503: "unavailable",
}
INTERNAL_MESSAGE: Final = (
    "Something went wrong on our side. Try again; if it stays, tell us the x-request-id."
)
# Not every 502 is storage's (API-45).
PAYMENT_MESSAGE: Final = "The payment service did not answer as it should. Try again in a minute."


@dataclass(frozen=True, order=True)
class Answer:
    """A status that is no success, with the class and the code that its envelope may have."""

    status: int
    error: str
    code: str


def answers() -> list[Answer]:
    """All there are (CV-18), those of the framework included."""
    kinds = [
        kind
        for kind in vars(domain).values()
        if isinstance(kind, type) and issubclass(kind, MeetbotError)
    ]
    of_ours = {_answer_of(kind) for kind in kinds}
    return sorted(of_ours | {Answer(405, CLASSES[405], CLASSES[405])})


def _answer_of(kind: type[MeetbotError]) -> Answer:
    status = next((status for base, status in STATUSES if issubclass(kind, base)), 500)
    error = CLASSES[status]
    if status == 500:
        return Answer(status, error, error)
    if issubclass(kind, PaymentServiceError):
        return Answer(status, kind.code, kind.code)
    # Which kind of storage trouble it is stays inside.
    return Answer(status, error, StorageError.code if issubclass(kind, StorageError) else kind.code)


def envelope(
    status: int,
    message: str,
    *,
    code: str | None = None,
    error: str | None = None,
    issues: Sequence[Issue] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error answer."""
    error = error or CLASSES.get(status, "internal_error")
    content: dict[str, Any] = {"error": error, "code": code or error, "message": message}
    if status == 400:
        listed = issues or [Issue((), "invalid", message)]
        content["issues"] = [
            {"path": list(issue.path), "code": issue.code, "message": issue.message}
            for issue in listed
        ]
    return JSONResponse(content, status, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Have `app` answer every error with the envelope."""
    app.add_exception_handler(MeetbotError, _on_meetbot_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_meetbot_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, MeetbotError):
        raise error
    return answer_to(error)


def answer_to(error: MeetbotError) -> JSONResponse:
    """What is answered to an error of the domain."""
    answer = _answer_of(type(error))
    if answer.status == 500:
        log.error("unexpected %s: %s", type(error).__name__, error.message, exc_info=error)
        return envelope(500, INTERNAL_MESSAGE)
    headers = {}
    if isinstance(error, RateLimited):
        headers["retry-after"] = str(max(1, error.retry_after_seconds))
    if answer.status == 503:
        headers["retry-after"] = "5"
    message = error.message
    if isinstance(error, PaymentServiceError):
        # What Stripe says is for the operator; it may name a part of the key.
        log.warning("%s", message)
        message = PAYMENT_MESSAGE
    issues = error.issues if isinstance(error, BadInput) else ()
    return envelope(
        answer.status,
        message,
        code=answer.code,
        error=answer.error,
        issues=issues,
        headers=headers,
    )


async def _on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return answer_to_invalid(error.errors())


def answer_to_invalid(errors: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """What is answered to input that does not validate; `errors` are pydantic's, `loc` with the
    part of the request before the field."""
    issues = [_issue(entry) for entry in errors]
    return envelope(400, f"The request is not valid: {issues[0].message}", issues=issues)


def _issue(entry: Mapping[str, Any]) -> Issue:
    # The first part says where in the request: body, query, path. What was sent is not repeated.
    path = tuple(entry["loc"][1:])
    field = (entry.get("ctx") or {}).get("field")
    if field is not None:
        path += (field,)
    if entry["type"] == "json_invalid":
        return Issue((), "invalid_json", "The body is not valid JSON.")
    if entry["loc"] == ("body",) and entry["type"] in {"missing", "model_attributes_type"}:
        return Issue((), "invalid_json", "Send a JSON object with content-type application/json.")
    return Issue(path, entry["type"], entry["msg"].removeprefix("Value error, "))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        return envelope(404, "There is nothing at this path.", headers=error.headers)
    if error.status_code == 405:
        headers = _allow(request) or error.headers
        return envelope(405, "This path does not take this method.", headers=headers)
    if error.status_code == 400:
        return envelope(400, str(error.detail), headers=error.headers)
    return envelope(error.status_code, str(error.detail), headers=error.headers)


def _allow(request: Request) -> dict[str, str]:
    """All methods of the path; the router names those of its first route only (RFC 9110)."""
    pattern = getattr(request.scope.get("route"), "path", None)
    methods = request.app.openapi()["paths"].get(pattern, {})
    return {"allow": ", ".join(sorted(method.upper() for method in methods))} if methods else {}
