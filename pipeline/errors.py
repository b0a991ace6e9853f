"""Errors that a user can act on: one sentence each, shown without a traceback, exit code 1."""

import errno


class ScmdError(Exception):
    """Base of all errors that `scmd` reports in one sentence."""


class ConfigError(ScmdError):
    """A configuration file is wrong: names the file and each faulty key."""


class InputError(ScmdError):
    """Images, folders or arguments are not what the command needs."""


class CacheError(ScmdError):
    """A teacher cache is incomplete, damaged, or not the one that is expected."""


class ReplayError(ScmdError):
    """A picture drawn for the student is not the picture that the teacher saw."""


class TeacherError(ScmdError):
    """The teacher cannot be loaded, or its settings would silently change its output."""


class ResourceError(ScmdError):
    """Memory or a disk ran out, a folder may not be written, or the system killed a process that used too much."""


def reason(error: BaseException) -> str:
    """What a library says went wrong, in one line that fits into a sentence; its kind where it says nothing."""
    # Without the system's number and file, which the sentence names itself.
    text = " ".join((error.strerror if isinstance(error, OSError) and error.strerror else str(error)).split())
    return (text if len(text) <= 300 else f"{text[:300]}…") or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, the system or torch means that memory ran out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = ("out of memory", "can't allocate memory", "not enough memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))


def resource_error(error: BaseException) -> ResourceError | None:
    """The sentence for an error by which memory ran out, or a worker was killed; None for any other."""
    again = "and run the same command again: what is finished is kept"
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return ResourceError(
            f"a worker process died ({' '.join(str(error).split())[:200]}); if the system ran out of memory, set fewer "
            f"workers or a smaller `batch`, {again}"
        )
    if is_out_of_memory(error):
        return ResourceError(
            f"out of memory; set a smaller `batch` in the teacher's or student's configuration, or fewer workers, {again}"
        )
    return None
