"""The Prefect side: one meeting is one flow run."""
