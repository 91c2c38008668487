"""Mail that is kept for click maps: one for each campaign and shape, without its recipients."""
