"""The engine in pure Python: the same answers as the compiled core, for readers and for doubters.

It shares no code with the core. Each module follows the text of its standard, so that the two
engines can judge each other.
"""
