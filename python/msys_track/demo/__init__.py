"""The demonstration: real mail through a real proxy, read by a mail reader that clicks."""
