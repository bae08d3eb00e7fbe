import decimal
import logging
import os
import sys

calls = 0
logging.getLogger().setLevel(logging.INFO)
print("loading é")


def echo(event, context):
    return event


def nothing(event, context):
    pass


def fail(event, context):
    raise Exception("some_error_msg")


def context(event, context):
    return {
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "custom": context.client_context.custom if context.client_context else None,
        "identity": context.identity.cognito_identity_id,
        "tenant": context.tenant_id,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


def env(event, context):
    return os.environ.get(event)


def log(event, context):
    print("plain")
    logging.warning("warned é\nsecond")
    logging.debug("not shown")
    try:
        raise ValueError("inner")
    except ValueError:
        logging.exception("caught", extra={"more": 1})


def leave(event, context):
    sys.exit(event)


def large(event, context):
    return "x" * event


def count(event, context):
    global calls
    calls += 1
    return calls


def numbers(event, context):
    return {"d": decimal.Decimal("1.10"), "n": [decimal.Decimal("12345678901234567890.5")]}


def raw(event, context):
    return b"\x00\xff"


def unmarshallable(event, context):
    return {"s": {1, 2}}


def surrogate(event, context):
    return "\ud800"


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


def unprintable(event, context):
    raise Unprintable


def path(event, context):
    return sys.path[:3]


def modules(event, context):
    return [m for m in event if m in sys.modules]


def size(event, context):
    return len(event)


def every(event, context):
    client = context.client_context
    return {
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "tenant": context.tenant_id,
        "identity": context.identity.cognito_identity_id,
        "pool": context.identity.cognito_identity_pool_id,
        "custom": client.custom,
        "env": client.env,
        "installation": client.client.installation_id,
        "title": client.client.app_title,
        "versionName": client.client.app_version_name,
        "versionCode": client.client.app_version_code,
        "package": client.client.app_package_name,
    }


def bare(event, context):
    raise ValueError


class Named(Exception):
    pass


def named(event, context):
    raise Named("gebrochen 💥 \u2028 é")


def chained(event, context):
    try:
        raise KeyError("the cause")
    except KeyError as e:
        raise Named("the outer") from e


def overflow(event, context):
    return overflow(event, context)


def arity(event):
    return event


def unserialisable(event, context):
    return {"s": object()}


def not_a_number(event, context):
    return float("nan")


background = []


def leftover(event, context):
    import threading
    import time
    if event == "start":
        def work():
            time.sleep(0.05)
            background.append("done")
            print("from the background")
        threading.Thread(target=work, daemon=True).start()
        return len(background)
    for _ in range(1000):
        if background:
            break
        time.sleep(0.01)
    return background


def leftover_fails(event, context):
    import threading
    if event == "start":
        def work():
            raise Named("nobody looks")
        t = threading.Thread(target=work)
        t.start()
        t.join()
    return event


async def a_coroutine(event, context):
    return event


def managed(event, context):
    import asyncio
    import contextlib
    order = []

    @contextlib.asynccontextmanager
    async def resource():
        order.append("enter")
        try:
            yield event
        finally:
            await asyncio.sleep(0)
            order.append("exit")

    async def main():
        async with resource() as r:
            order.append(r)
        return order

    return asyncio.run(main())


class Callable:
    def __call__(self, event, context):
        return event


an_object = Callable()
not_callable = 5


def unbounded(event, context):
    sys.exit()


def surroundings(event, context):
    import subprocess
    import time
    return {
        "environ": dict(os.environ),
        "child": sorted(x for x in subprocess.check_output(["env"]).decode().split("\n") if not x.startswith("_=")),
        "cwd": os.getcwd(),
        "argv": sys.argv,
        "path": sys.path,
        "zone": [time.tzname[0], time.strftime("%z")],
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "locale": [sys.getfilesystemencoding(), sys.stdout.encoding],
        "meta_path": len(sys.meta_path),
        "main": sorted(vars(sys.modules["__main__"])),
        "runtime": sorted(m for m in sys.modules if "gate" in m),
        "threads": len(os.listdir("/proc/self/task")),
        "root": [type(h).__name__ for h in logging.getLogger().handlers],
    }
