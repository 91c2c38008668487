"""The words of SMTP that both faces speak: replies, paths, capabilities, and the bytes of DATA."""
