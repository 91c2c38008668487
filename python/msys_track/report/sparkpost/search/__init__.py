"""The search behind the Events API: events that a request wants, newest first, in pages.

A page never looks at more than some ten thousand rows, however many the store has: a page may be
shorter than it could be, but has a cursor to go on from. Events that come later than the first
page are in no page, so that nothing moves from one page to the next.
"""
