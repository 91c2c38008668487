"""The demonstration: real mail through a real proxy, read by a mail reader that clicks.

Its clients (sender, mail reader, browser) are the standard library's, so that what it shows is
another's opinion of the product and not the product's own.
"""
