"""The way out: transactions over persistent connections to the next hop.

Knows no message and no option; what it is given it hands over whole, or says why not.
"""
