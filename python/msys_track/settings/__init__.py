"""What a setting can be: kinds of values, and the keys that the rooms' settings carry."""
