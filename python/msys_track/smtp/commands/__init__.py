"""The server's side of SMTP without sockets: bytes in, events out; replies in, bytes out."""
