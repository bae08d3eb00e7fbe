"""A runtime whose function has finished its INIT and of which copies are made: it
waits in restore/next, and each copy becomes an environment of its own there.

A copy finds its connection broken. The driver has done for it what fork() does for
a process, and it does here what fork() would have done for an interpreter: it runs
the at-fork handlers and draws new randomness."""

import gc
import json
import os
import posix
import sys
import time

import lambdad_runtime

# Exit statuses of AWS's client, when a hook has failed.
EXIT_BEFORE_SNAPSHOT = 64
EXIT_AFTER_RESTORE = 65

SEED_BYTES = 48  # what OpenSSL seeds itself with

registered = []  # the at-fork handlers, in the order of registration


def begin():
    """Is called before the function's code is loaded."""
    if os.environ.pop("_LAMBDAD_TEMPLATE") != "fork":
        return
    if "threading" in sys.modules:  # it has registered itself already
        registered.append({"after_in_child": sys.modules["threading"]._after_fork})
    original = os.register_at_fork

    def register_at_fork(**handlers):
        original(**handlers)
        registered.append(handlers)

    os.register_at_fork = posix.register_at_fork = register_at_fork


def wait(api):
    """Returns when this process is an environment: as a rule, in a copy."""
    hooks = sys.modules.get("snapshot_restore_py")
    try:
        if hooks is not None:
            before = hooks.get_before_snapshot()
            while before:
                func, args, kwargs = before.pop()
                func(*args, **kwargs)
        lambdad_runtime.flush()
        handlers("before", reversed(registered))
        gc.collect()
        gc.freeze()  # what is there now is not looked at again: the pages stay shared
        environment, copied = ask(api)
        handlers("after_in_child" if copied else "after_in_parent", registered)
    except BaseException as e:
        failed(api, e, "init/error", "Runtime.BeforeSnapshotError", EXIT_BEFORE_SNAPSHOT)
    try:
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        renew()
        if hooks is not None:
            for func, args, kwargs in hooks.get_after_restore():
                func(*args, **kwargs)
    except BaseException as e:
        failed(api, e, "restore/error", "Runtime.AfterRestoreError", EXIT_AFTER_RESTORE)
    lambdad_runtime.flush()


def ask(api):
    """Asks who this process is, and again in each copy: (environment, whether this is one)."""
    copied = False
    while True:
        try:
            status, _, body = api.call(b"GET", b"restore/next", b"")
        except ConnectionRefusedError:
            raise
        except (ConnectionError, EOFError):
            copied = True
            continue
        if status != 200:
            raise RuntimeError("GET restore/next: status %d" % status)
        return json.loads(body.decode("utf-8"))["environment"], copied


def handlers(name, which):
    for each in which:
        if name in each:
            try:
                each[name]()
            except Exception:  # fork() tells of it, and goes on
                sys.excepthook(*sys.exc_info())


def renew():
    """Makes sure that no two copies draw the same."""
    modules = sys.modules
    if "_ssl" in modules:
        modules["_ssl"].RAND_add(os.urandom(SEED_BYTES), float(SEED_BYTES))
    if "random" in modules:
        modules["random"].seed()
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
    uuid = modules.get("uuid")
    if hasattr(uuid, "_random_getnode"):
        # The first version's node, and not the C library's clock, which all have alike.
        uuid._generate_time_safe = None
        uuid._node, uuid._last_timestamp = uuid._random_getnode(), None


def failed(api, e, path, kind, status):
    """Tells of a hook that failed, as AWS's client does, and ends."""
    import lambdad_runtime_errors as errors

    error = errors.describe(e, None)
    errors.log(error)
    lambdad_runtime.flush()
    api.post(path, lambdad_runtime.to_json(error), errors.fields({"errorType": kind}))
    sys.exit(status)
