"""A runtime that starts before its function is known: it loads what AWS's runtime
client has loaded when a function's code begins, waits, and takes the function's
environment on. Nothing of this stays loaded when the function's code runs."""

# What AWS's client imports, itself or through these.
import concurrent.futures.thread  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import gc
import http.client  # noqa: F401
import importlib
import json
import logging  # noqa: F401
import os
import sys
import time
import traceback  # noqa: F401

START = b"/2018-06-01/lambdad/start"


def wait(api):
    """Waits for a function and becomes its runtime."""
    gc.collect()
    assume(ask(api, START))
    del sys.modules[__name__]


def ask(api, path):
    """Asks at a gate who this program is: its environment."""
    status, _, body = api.call(b"GET", path, b"")
    if status != 200:
        raise RuntimeError("GET %s: status %d" % (path.decode(), status))
    return json.loads(body.decode("utf-8"))["environment"]


def assume(environment):
    """Takes on an environment, as if the program had been started with it."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    task = environment.get("LAMBDA_TASK_ROOT", "/var/task")
    try:
        os.chdir(task)
    except OSError:
        pass  # as if it had been started there without its directory
    # Directories that were looked into when they were empty.
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
