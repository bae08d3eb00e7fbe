"""Errors of the function as AWS's Python runtime reports them."""

import json
import os
import sys
import time
import traceback

import lambdad_runtime

NO_BREAK_SPACE = "\u00a0"
JSON_FORMAT = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def describe(e, request_id):
    """The error's JSON object; the order of its members is AWS's."""
    if isinstance(e, lambdad_runtime.Fault):
        kind, message, trace = e.kind, str(e), e.trace or []
    else:
        kind, message, trace = type(e).__name__, text_of(e), frames(e)
    error = {"errorMessage": message, "errorType": kind}
    if os.environ.get("AWS_EXECUTION_ENV") != "AWS_Lambda_python3.8":
        error["requestId"] = request_id or ""
    error["stackTrace"] = trace
    return error


def text_of(e):
    try:
        return str(e)
    except Exception:
        return "<unprintable %s>" % type(e).__name__


def frames(e):
    """The traceback without the runtime's own frames at its beginning."""
    found = traceback.extract_tb(e.__traceback__)
    skip = 0
    while skip < len(found) and os.path.dirname(found[skip].filename) == lambdad_runtime.RUNTIME_DIR:
        skip += 1
    # Built anew from four columns: newer versions would add marker lines.
    return traceback.format_list([(f.filename, f.lineno, f.name, f.line) for f in found[skip:]])


def fields(error):
    """The request's header fields that go with an error."""
    kind = error["errorType"].encode("ascii", "replace")
    return b"Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: " + kind + b"\r\n"


def log(error):
    """Writes the error to the log as one event."""
    if JSON_FORMAT:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = {"timestamp": stamp, "level": "ERROR"}
        entry.update(error)
        text = json.dumps(entry, ensure_ascii=False)
    else:
        lines = ["[ERROR] %s: %s" % (error["errorType"], error["errorMessage"])
                 if error["errorMessage"] else "[ERROR] %s" % error["errorType"]]
        lines.append("Traceback (most recent call last):")
        for entry in error["stackTrace"]:
            for line in entry.splitlines():
                bare = line.lstrip(" ")
                lines.append(NO_BREAK_SPACE * (len(line) - len(bare)) + bare)
        text = lambdad_runtime.one_event("\n".join(lines))
    sys.stdout.write(text + "\n")
