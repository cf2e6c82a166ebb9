"""Zoom by its Meeting SDK for Linux instead of its web client: an optional engine (PL-25).

The SDK is Zoom's own binary under Zoom's terms: `pip install meetbot[zoom-sdk]` gets it, and
nothing here is imported from it before a bot is to use it.
"""
