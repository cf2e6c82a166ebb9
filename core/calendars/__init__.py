"""Calendars that teams connect: their events become jobs by rules (CAL-10 to CAL-19)."""
