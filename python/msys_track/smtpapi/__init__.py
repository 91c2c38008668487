"""X-MSYS-API: what the sender of one message asks for, parsed strictly."""
