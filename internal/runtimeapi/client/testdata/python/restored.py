"""A function whose hooks tell when they ran."""
import logging
import os
import threading
import time

from snapshot_restore_py import register_after_restore, register_before_snapshot

log = []
calls = 0
os.register_at_fork(after_in_child=lambda: log.append("fork child"))


@register_before_snapshot
def first():
    log.append("before 1")


register_before_snapshot(log.append, "before 2")
register_after_restore(lambda n: log.append("after %d %s" % (n, os.environ.get("OWN"))), 1)
register_after_restore(lambda n: log.append("after %d %s" % (n, os.environ.get("OWN"))), n=2)


def restored(event, context):
    global calls
    calls += 1
    t = threading.Thread(target=logging.getLogger().info, args=("locks are free",))
    t.start()
    t.join(10)
    assert not t.is_alive() and threading.main_thread().native_id == threading.get_native_id() or not hasattr(t, "native_id")
    return {"Env": dict(os.environ), "Log": log, "Hour": time.tzname[0], "Calls": 1 if calls else 0}
