"""What the fork server imports before the first meeting, so that a fork can start at once."""

import boto3  # noqa: F401
import playwright.async_api  # noqa: F401
import prefect.client.orchestration
import prefect.flow_engine  # noqa: F401

import flows.forks
import flows.meeting  # noqa: F401
