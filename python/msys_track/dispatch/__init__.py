"""What is done with one message: it is opened, decided, and rendered into copies."""
