"""What both sides of SMTP share: replies, paths, capabilities, and the bytes of DATA."""
