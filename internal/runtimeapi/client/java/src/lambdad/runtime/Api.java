package lambdad.runtime;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** One kept-alive connection to the Runtime API. */
final class Api {
    static final String JSON = "application/json";

    private static final String PREFIX = "/2018-06-01/runtime/";

    private final String authority;
    private Socket socket;
    private InputStream in;
    private OutputStream out;
    private final byte[] buffer = new byte[16384];
    private int start;
    private int end;

    static final class Answer {
        final int status;
        final Map<String, String> headers;
        final byte[] body;

        Answer(int status, Map<String, String> headers, byte[] body) {
            this.status = status;
            this.headers = headers;
            this.body = body;
        }

        String header(String lowerCase) {
            return headers.get(lowerCase);
        }
    }

    Api(String authority) {
        this.authority = authority;
    }

    /** Waits for the next invocation. */
    Answer next() throws IOException {
        boolean reused = socket != null;
        Answer answer;
        try {
            answer = call("GET", "invocation/next", new byte[0], null, null);
        } catch (IOException e) {
            if (!reused) {
                throw e; // only an idle connection may have gone unnoticed
            }
            answer = call("GET", "invocation/next", new byte[0], null, null);
        }
        if (answer.status != 200) {
            throw new IOException("GET invocation/next: status " + answer.status);
        }
        return answer;
    }

    /** Asks once. */
    Answer ask(String path) throws IOException {
        return call("GET", path, new byte[0], null, null);
    }

    /** Sends an answer. 413 says that the API has answered with an error of its own. */
    void post(String path, byte[] body, String contentType, String errorType) throws IOException {
        Answer answer = call("POST", path, body, contentType, errorType);
        if (answer.status != 202 && answer.status != 413) {
            throw new IOException("POST " + path + ": status " + answer.status);
        }
    }

    private Answer call(String method, String path, byte[] body, String contentType, String errorType)
            throws IOException {
        try {
            if (socket == null) {
                connect();
            }
            StringBuilder head = new StringBuilder(256);
            head.append(method).append(' ').append(PREFIX).append(path).append(" HTTP/1.1\r\nHost: ").append(authority);
            if (contentType != null) {
                head.append("\r\nContent-Type: ").append(contentType);
            }
            if (errorType != null) {
                head.append("\r\nLambda-Runtime-Function-Error-Type: ").append(errorType);
            }
            head.append("\r\nContent-Length: ").append(body.length).append("\r\n\r\n");
            byte[] bytes = head.toString().getBytes(StandardCharsets.ISO_8859_1);
            if (body.length <= 65536) { // one write, one packet
                byte[] whole = new byte[bytes.length + body.length];
                System.arraycopy(bytes, 0, whole, 0, bytes.length);
                System.arraycopy(body, 0, whole, bytes.length, body.length);
                out.write(whole);
            } else {
                out.write(bytes);
                out.write(body);
            }
            return read();
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    private void connect() throws IOException {
        int colon = authority.lastIndexOf(':');
        socket = new Socket(authority.substring(0, colon), Integer.parseInt(authority.substring(colon + 1)));
        socket.setTcpNoDelay(true);
        in = socket.getInputStream();
        out = socket.getOutputStream();
        start = 0;
        end = 0;
    }

    private void close() throws IOException {
        if (socket != null) {
            socket.close();
            socket = null;
        }
    }

    private Answer read() throws IOException {
        String status = line();
        Map<String, String> headers = new HashMap<String, String>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
        }
        String length = headers.get("content-length");
        byte[] body = new byte[length == null ? 0 : Integer.parseInt(length)];
        int n = Math.min(body.length, end - start);
        System.arraycopy(buffer, start, body, 0, n);
        start += n;
        while (n < body.length) {
            int k = in.read(body, n, body.length - n);
            if (k < 0) {
                throw new EOFException("the Runtime API closed the connection");
            }
            n += k;
        }
        if ("close".equals(headers.get("connection"))) {
            close();
        }
        return new Answer(Integer.parseInt(status.substring(9, 12)), headers, body);
    }

    private String line() throws IOException {
        ByteArrayOutputStream long_ = null;
        while (true) {
            for (int i = start; i < end; i++) {
                if (buffer[i] == '\n') {
                    int stop = i > start && buffer[i - 1] == '\r' ? i - 1 : i;
                    int from = start;
                    start = i + 1;
                    if (long_ == null) {
                        return new String(buffer, from, stop - from, StandardCharsets.UTF_8);
                    }
                    long_.write(buffer, from, stop - from);
                    return new String(long_.toByteArray(), StandardCharsets.UTF_8).trim();
                }
            }
            if (start < end) {
                if (long_ == null) {
                    long_ = new ByteArrayOutputStream();
                }
                long_.write(buffer, start, end - start);
            }
            start = 0;
            end = 0;
            int k = in.read(buffer, 0, buffer.length);
            if (k < 0) {
                throw new EOFException("the Runtime API closed the connection");
            }
            end = k;
        }
    }
}
