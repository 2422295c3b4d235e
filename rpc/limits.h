/* SPDX-License-Identifier: Apache-2.0
 *
 * Every limit of the wire, each with its reason. */
#ifndef RPC_LIMITS_H
#define RPC_LIMITS_H

/* One message; gRPC's own default, which stock clients expect. */
#define RPC_MESSAGE_BYTES_MAX (4u << 20)

/* Memory that decoding one message may take: 4 MiB of empty sub-messages
 * would cost 213 MB in protobuf-c. */
#define RPC_ARENA_BYTES_MAX (16u << 20)

/* Trailers of one answer together: an error's text of 511 bytes stands in them
 * twice, once in base64 with its details. */
#define RPC_TRAILER_BYTES_MAX 4096

/* Calls at once on one connection. */
#define RPC_STREAMS_MAX 256

/* Flow control: what a peer may send ahead, for a call and a connection. */
#define RPC_STREAM_WINDOW     (256 << 10)
#define RPC_CONNECTION_WINDOW (1 << 20)

/* Undelivered request bytes of one connection, and of all. */
#define RPC_RECEIVE_BYTES_CONNECTION (8u << 20)
#define RPC_RECEIVE_BYTES_ALL        (256u << 20)

/* A call of a caller's account counts so much at least; and an answer below
 * this is given whatever he has under way: it tells what was done. */
#define RPC_CALL_BYTES         1024
#define RPC_ANSWER_BYTES_SMALL (64u << 10)

/* Header names and values of a request together; nghttp2 1.52 does not
 * enforce it, so we count. */
#define RPC_HEADER_BYTES_MAX 16384
#define RPC_HEADERS_MAX      64

/* SETTINGS entries in one frame, and acknowledgements that wait to be sent:
 * floods of them cost memory. */
#define RPC_SETTINGS_MAX     16
#define RPC_OUTBOUND_ACK_MAX 256

/* Frames without payload a second (PRIORITY, WINDOW_UPDATE, PING, empty DATA):
 * nghttp2 1.52 does not limit these floods. */
#define RPC_EMPTY_FRAMES_MAX 10000

/* RST_STREAMs that a peer provokes in 10 s before it is told to go away
 * (CVE-2025-8671). */
#define RPC_RESETS_SENT_MAX 200

/* RST_STREAMs received: each client deadline is one. Burst, then a second. */
#define RPC_RESETS_BURST 2000
#define RPC_RESETS_RATE  200

#define RPC_CONNECTIONS_MAX 4096

/* Connections of one address that nobody has answered for: without a
 * certificate, or still shaking hands. One more ends the oldest of them: so
 * neither a flood of them nor of new ones keeps others out. Load balancers and
 * people who look whether a node is well have one or two. */
#define RPC_UNPROVEN_PER_ADDRESS 64

/* Connections of one certificate, or, of callers without, of one address: no
 * caller takes all the places of a node. A program has some, a service of many
 * processes that share a certificate some dozens. */
#define RPC_CONNECTIONS_PER_CALLER 256

/* From accept to the client's SETTINGS. */
#define RPC_HANDSHAKE_MS 5000

/* From a request's first header to its last: no client sends them in pieces. */
#define RPC_HEADERS_MS 5000

/* A unary request's body. */
#define RPC_BODY_MS 30000

/* A connection without calls. */
#define RPC_IDLE_MS 300000

/* Output that does not move: the peer is gone or too slow. Of a connection;
 * and of an answer that is complete while the peer opens no window for it. */
#define RPC_WRITE_STALL_MS 30000

/* Bytes handed to the socket and not taken yet before no more are made. */
#define RPC_WRITE_BYTES_MAX (256u << 10)

/* grpc-timeout has at most this many digits, as the protocol says. */
#define RPC_TIMEOUT_DIGITS_MAX 8

/* HTTP/1.1 (http_server.h). A head: what browsers and Prometheus send is below
 * 1 KiB. */
#define HTTP_HEAD_BYTES_MAX 4096
#define HTTP_FIELDS_MAX     64

/* Then the connection is closed: nobody keeps one for ever. */
#define HTTP_REQUESTS_MAX 100

/* Connections that are served, and beyond them those that are told that no
 * more are: a scraper or two and some browsers. */
#define HTTP_CONNECTIONS_MAX 64
#define HTTP_REFUSALS_MAX    16

/* A head must be complete so long after its first byte; between requests; an
 * answer that does not move; and how long, and how much, a client may go on
 * sending after it was refused. Cutting it off at once would reset the
 * connection, and the answer with it. */
#define HTTP_HEAD_MS          10000
#define HTTP_IDLE_MS          60000
#define HTTP_WRITE_MS         30000
#define HTTP_LINGER_MS        2000
#define HTTP_LINGER_BYTES_MAX (256u << 10)

/* The client's side. */
#define RPC_CONNECT_MS 2000

/* Addresses of one name that are tried. */
#define RPC_TARGETS_MAX      8
#define RPC_RECONNECT_MS_MIN 50
#define RPC_RECONNECT_MS_MAX 1000
#define RPC_USER_TIMEOUT_MS  2000

/* A server with open calls from which nothing came for so long is asked for a
 * sign of life, and given up when none comes: a process that hangs still has a
 * kernel that acknowledges. Well above any pause of a loop that is well. */
#define RPC_PING_IDLE_MS 1000
#define RPC_PING_WAIT_MS 2000

/* Round trips that a channel remembers: enough for a median. */
#define RPC_ROUND_TRIPS 16

#endif
