"""Coming to a directory by no other way than its real name."""

import os
from pathlib import Path

from worker_client.errors import CannotBegin


def opened(directory: str) -> int:
    """The directory as a descriptor, come to without any symlink, also one that was put there since it was checked; POSIX.

    Raises CannotBegin.
    """
    flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open("/", flags)
    for part in Path(directory).parts[1:]:
        try:
            inner = os.open(part, flags, dir_fd=at)
        except OSError as error:
            why = (
                "is a symlink or no directory" if isinstance(error, NotADirectoryError) else f"can't be opened: {error.strerror}"
            )
            raise CannotBegin(f"{directory} isn't what it was when it was checked: `{part}` in it {why}") from error
        finally:
            os.close(at)
        at = inner
    try:
        os.close(os.open(".", flags, dir_fd=at))
    except OSError as error:
        os.close(at)
        raise CannotBegin(f"{directory} can't be worked in: {error.strerror}") from error
    return at
