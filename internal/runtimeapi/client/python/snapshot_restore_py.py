"""Runtime hooks under the names of AWS's library of the same name, which its Python
runtimes have: functions to call before the function's environment becomes a template,
and after each copy of it was made. One that a function brings along is used in this one's place."""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Calls func before the snapshot; the last one registered first. Also a decorator."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Calls func after each restore, in the order of registration. Also a decorator."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot


def get_after_restore():
    return _after_restore
