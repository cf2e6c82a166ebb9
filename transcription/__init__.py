"""Speech to text, one speaker's track at a time."""
