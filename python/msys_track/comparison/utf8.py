"""Whether bytes are UTF-8, as HTML without a charset is asked first."""


def is_utf8(content: bytes) -> bool:
    """Tell whether all of it is UTF-8."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
