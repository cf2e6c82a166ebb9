"""The meeting guest: joins a room in a browser and journals every stream to disk."""
