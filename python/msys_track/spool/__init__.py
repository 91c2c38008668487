"""The spool: mail that could not be relayed at once, kept on disk and tried again."""
