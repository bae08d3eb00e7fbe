"""The root logger as AWS's Python runtime sets it up."""

import json
import logging
import os
import sys
import time
import traceback

import lambdad_runtime

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
# Members of a log record that are not the function's own extras.
RECORD_MEMBERS = set(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "aws_request_id", "tenant_id", "message", "asctime", "taskName"}


class Handler(logging.Handler):
    def emit(self, record):
        try:
            sys.stdout.write(lambdad_runtime.one_event(self.format(record)) + "\n")
        except Exception:
            self.handleError(record)


class Stamp(logging.Filter):
    """Gives each record the invocation's ids."""

    def filter(self, record):
        record.aws_request_id = lambdad_runtime.request_id or ""
        record.tenant_id = lambdad_runtime.tenant_id
        return True


class JSONFormatter(logging.Formatter):
    def format(self, record):
        seconds, millis = divmod(int(record.created * 1000), 1000)
        entry = {
            "timestamp": time.strftime(TIME_FORMAT, time.gmtime(seconds)) + ".%03dZ" % millis,
            "level": logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10),
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, value, tb = record.exc_info
            entry["stackTrace"] = traceback.format_tb(tb)
            entry["errorType"] = kind.__name__
            entry["errorMessage"] = str(value)
        entry["requestId"] = record.aws_request_id
        if "errorType" in entry:
            entry["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
        if record.tenant_id is not None:
            entry["tenantId"] = record.tenant_id
        for name, value in vars(record).items():
            if name not in RECORD_MEMBERS and name not in entry and value is not None:
                entry[name] = value
        return json.dumps(entry, ensure_ascii=False, default=str)


def set_up():
    handler = Handler()
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        handler.setFormatter(JSONFormatter())
    else:
        formatter = logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", TIME_FORMAT)
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    handler.addFilter(Stamp())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)
