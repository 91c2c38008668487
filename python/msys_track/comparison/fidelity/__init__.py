"""What each way does to the mails of a corpus; `python -m msys_track.comparison.fidelity`."""
