"""The embedded store: one SQLite file that a recorder fills, and that people and reports read.

Write-ahead logging lets readers and a writer go on beside each other, in one process or several;
`docs/events.md` says what the tables mean.
"""
