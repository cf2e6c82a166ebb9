"""How callers prove who they are: the schemes of the OpenAPI document (AU-07, AU-08).

For the document only. The credentials are read by `api.dependencies`, so that every failure has
our envelope.
"""

from __future__ import annotations

from typing import Final

from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer

SESSION_COOKIE: Final = "meetbot_session"

key_scheme = HTTPBearer(
    auto_error=False, scheme_name="key", description="`mb_live_…` or `mb_test_…`"
)
session_scheme = APIKeyCookie(
    name=SESSION_COOKIE,
    auto_error=False,
    scheme_name="session",
    description="The cookie of a login. What changes something needs `x-csrf-token`, too.",
)
ingest_scheme = HTTPBearer(auto_error=False, scheme_name="ingest", description="`mb_bot_…`")
intake_scheme = HTTPBearer(
    auto_error=False, scheme_name="intake", description="A secret of the mail worker."
)
admin_scheme = HTTPBearer(
    auto_error=False, scheme_name="admin", description="The operator's own secret."
)
stripe_scheme = APIKeyHeader(
    name="Stripe-Signature",
    auto_error=False,
    scheme_name="stripe",
    description="Stripe's signature over the raw body.",
)
