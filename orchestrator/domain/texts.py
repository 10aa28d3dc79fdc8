"""Which texts can be kept."""


def storable(text: str) -> bool:
    """Whether databases and JSON take a text: it has no NUL, and no half of a sign that is written with two."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
