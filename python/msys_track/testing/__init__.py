"""Public test doubles: a mail server, a sender, a mail reader, a browser."""
