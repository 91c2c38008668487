"""Who may log in, by which password and how often; the proxy and the report ask the same file."""
