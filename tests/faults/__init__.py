"""Meetings with something going wrong in each of them, and what must hold all the same (D10)."""
