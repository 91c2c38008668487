"""Configuration files, read into the rooms' own settings; no room below knows about files."""
