"""Accounts at meeting platforms that a team lends its bots (API-46, PL-24)."""
