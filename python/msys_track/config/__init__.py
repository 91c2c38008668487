"""Configuration files, read into the rooms' own settings: no room below knows that files exist."""
