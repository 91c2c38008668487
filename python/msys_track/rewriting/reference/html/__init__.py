"""HTML: where markup begins and ends, links, and places of pixels."""
