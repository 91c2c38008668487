"""Where events go: the seam, its queue, and one file for each kind of place."""
