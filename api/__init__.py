"""The HTTP API: resolves who and what, calls one service, answers one schema."""
