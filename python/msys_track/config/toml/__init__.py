"""`msys-track.toml` as text: read with every fault's place, and written."""
