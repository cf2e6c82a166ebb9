"""A real WebRTC meeting served by us: scripted speakers, and people with a browser."""
