"""Where events go: the interface, the queue before it, and a module for each kind of place."""
