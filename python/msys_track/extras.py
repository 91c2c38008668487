from contextlib import nullcontext
def needed_extra(extra: str, what: str): return nullcontext()
