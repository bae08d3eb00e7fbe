"""The Python runtime client: speaks the Lambda Runtime API 2018-06-01 and calls
the function's handler.

What is imported here is paid for at each cold start, so the HTTP client is a
raw socket, and logging, traceback and decimal are touched only when the
function's code has loaded them or something failed.
"""

import json
import os
import sys
import time

import _socket

RUNTIME_DIR = os.path.dirname(os.path.abspath(__file__))
PATH = b"/2018-06-01/runtime/"
JSON_TYPE = "application/json"
# AWS's clients send non-ASCII characters as they are from python3.12 on.
ENSURE_ASCII = sys.version_info < (3, 12)

# The invocation in hand, for log lines.
request_id = None
tenant_id = None


class Fault(Exception):
    """An error that the runtime itself finds: Runtime.X."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.trace = trace


class API:
    """One kept-alive connection to the Runtime API."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address = (host or "127.0.0.1", int(port))
        self.host = address.encode()
        self.sock = None

    def next(self):
        """Waits for the next invocation: (headers, body)."""
        status, headers, body = self.call(b"GET", b"invocation/next", b"")
        if status != 200:
            raise RuntimeError("GET invocation/next: status %d" % status)
        return headers, body

    def post(self, path, body, fields=b""):
        """Sends an answer. 413 is an answer of the API's own to a response over
        the bound; the invocation has its error then."""
        status, _, text = self.call(b"POST", path.encode(), body, fields)
        if status not in (202, 413):
            raise RuntimeError("POST %s: status %d: %s" % (path, status, text.decode("utf-8", "replace")))

    def call(self, method, path, body, fields=b""):
        head = b"%s %s%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n" % (
            method, b"" if path[:1] == b"/" else PATH, path, self.host, fields, len(body))
        for attempt in (0, 1):
            fresh = self.sock is None
            try:
                if fresh:
                    self.connect()
                if len(body) < 65536:
                    self.sock.sendall(head + body)
                else:
                    self.sock.sendall(head)
                    self.sock.sendall(body)
                return self.read()
            except (ConnectionError, EOFError):
                self.sock.close()
                self.sock = None
                # Only a request that changes nothing, on a connection that had been
                # idle, is sent a second time.
                if fresh or attempt or method != b"GET":
                    raise

    def connect(self):
        self.sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.sock.connect(self.address)
        self.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)

    def read(self):
        data = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("the Runtime API closed the connection")
            data += more
        lines = data[:end].decode("utf-8", "surrogateescape").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        body = data[end + 4:]
        if len(body) < length:
            whole = bytearray(length)
            n = len(body)
            whole[:n] = body
            view = memoryview(whole)
            while n < length:
                k = self.sock.recv_into(view[n:])
                if not k:
                    raise EOFError("the Runtime API closed the connection")
                n += k
            view.release()
            body = whole
        if headers.get("connection", "").lower() == "close":
            self.sock.close()
            self.sock = None
        return status, headers, body


class CognitoIdentity:
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]


class Client:
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]


class ClientContext:
    __slots__ = ["custom", "env", "client"]


def fill(obj, values):
    for name in obj.__slots__:
        setattr(obj, name, values.get(name))
    return obj


class LambdaContext:
    """The handler's second argument; the names are AWS's."""

    def __init__(self, headers):
        env = os.environ.get
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = None
        values = parse_header(headers, "lambda-runtime-client-context", "Client Context")
        if values is not None:
            self.client_context = fill(ClientContext(), values)
            if self.client_context.client is not None:
                self.client_context.client = fill(Client(), self.client_context.client)
        self.identity = fill(CognitoIdentity(), {})
        values = parse_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity")
        if values is not None:
            self.identity.cognito_identity_id = values.get("cognitoIdentityId")
            self.identity.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in names)


def parse_header(headers, name, title):
    text = headers.get(name)
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as e:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (title, e))


def default(obj):
    raise TypeError("Object of type %s is not JSON serializable" % type(obj).__name__)


def to_json(obj, ensure_ascii=ENSURE_ASCII):
    """JSON as bytes. A Decimal becomes a number with all its digits."""
    decimal = sys.modules.get("decimal")
    if decimal is None:
        text = json.dumps(obj, ensure_ascii=ensure_ascii, default=default)
    else:
        text = with_decimals(obj, ensure_ascii, decimal.Decimal)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates have no UTF-8, but an escape
        return to_json(obj, True)


def with_decimals(obj, ensure_ascii, Decimal):
    # json has no way to write a number from its digits: each Decimal goes in as
    # a string that nothing else can contain, and is put in its place afterwards.
    mark = os.urandom(16).hex()
    digits = []

    def place(value):
        if not isinstance(value, Decimal):
            return default(value)
        if value.is_nan():
            return float("nan")
        digits.append(str(value))
        return mark + str(len(digits) - 1)

    text = json.dumps(obj, ensure_ascii=ensure_ascii, default=place)
    if not digits:
        return text
    parts = text.split('"' + mark)
    out = [parts[0]]
    for part in parts[1:]:
        n, _, rest = part.partition('"')
        out.append(digits[int(n)])
        out.append(rest)
    return "".join(out)


def load_handler(name):
    """Imports the module of "module.function" and returns the function."""
    import importlib

    module_name, dot, function = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e),
                    ['  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)])
    try:
        return getattr(module, function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module_name))


def handle(api, handler, headers, body):
    global request_id, tenant_id
    request_id = headers.get("lambda-runtime-aws-request-id")
    tenant_id = headers.get("lambda-runtime-aws-tenant-id")
    trace = headers.get("lambda-runtime-trace-id")
    if trace:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    content_type = JSON_TYPE
    try:
        context = LambdaContext(headers)
        event = body
        if headers.get("content-type", JSON_TYPE) == JSON_TYPE:
            try:
                event = json.loads(body.decode("utf-8"))
            except Exception as e:
                raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e)
        response = handler(event, context)
        if isinstance(response, bytes):
            result, content_type = response, "application/unknown"
        else:
            try:
                result = to_json(response)
            except Exception as e:
                raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % e)
    except Exception as e:
        import lambdad_runtime_errors as errors

        error = errors.describe(e, request_id)
        errors.log(error)
        flush()
        api.post("invocation/%s/error" % request_id, to_json(error), errors.fields(error))
        return
    flush()
    api.post("invocation/%s/response" % request_id, result,
             b"Content-Type: " + content_type.encode() + b"\r\n")


def one_event(text):
    """Output is split into log events at newlines; this stands for one inside an event."""
    return text.replace("\n", "\x1e\r")


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function closed or replaced it


def set_up_streams():
    # A line is one write: log lines of threads and child processes do not mix.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")


def set_up_path():
    task = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    version = "python%d.%d" % sys.version_info[:2]
    first = [task, "/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path[:] = first + [p for p in sys.path if p not in first and p != RUNTIME_DIR] + [RUNTIME_DIR]


class LoggingHook:
    """Sets up the root logger when, and only when, something imports logging."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        load = spec.loader.exec_module

        def load_and_set_up(module):
            load(module)
            import lambdad_runtime_logs

            lambdad_runtime_logs.set_up()

        spec.loader.exec_module = load_and_set_up
        return spec


def main():
    set_up_streams()
    api = API(os.environ["AWS_LAMBDA_RUNTIME_API"])
    if "_LAMBDAD_WAIT" in os.environ:
        import lambdad_runtime_gate

        lambdad_runtime_gate.wait(api)
    template = None
    if "_LAMBDAD_TEMPLATE" in os.environ:
        import lambdad_runtime_template as template

        template.begin()
    set_up_path()
    if "logging" in sys.modules:
        import lambdad_runtime_logs

        lambdad_runtime_logs.set_up()
    else:
        sys.meta_path.insert(0, LoggingHook())
    try:
        handler = load_handler(os.environ.get("_HANDLER", ""))
    except Exception as e:
        import lambdad_runtime_errors as errors

        error = errors.describe(e, None)
        errors.log(error)
        flush()
        api.post("init/error", to_json(error), errors.fields(error))
        sys.exit(1)
    flush()
    if template is not None:
        template.wait(api)
    while True:
        handle(api, handler, *api.next())
