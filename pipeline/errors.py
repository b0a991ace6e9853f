"""Errors that a user can act on: one sentence each, shown without a traceback, exit code 1."""


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
