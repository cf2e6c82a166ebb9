"""The mail worker: receives invites, posts them to the API, answers people. No database."""
