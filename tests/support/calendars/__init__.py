"""Calendars on loopback that speak as Google, Microsoft and published feeds do."""
