/*
 * load: asks a gateway on loopback, with so many connections at once, and tells as JSON what came back and when.
 *
 *   --port N  --connections N  --seconds S  --requests N (0: until time is up)  --workload json|sse-N|embeddings|mixed
 *   --interval-us N (pace of the chunks)  --ramp-ms N (over which connections are opened)  --models N (names to cycle
 *   through)  --prefix PATH  --announce (print a line once every connection has a stream open)
 *
 * A closed loop: each connection asks again when it has its answer. When time is up, answers under way are waited for, so
 * that what was asked for and what was answered are the same; what is not there GRACE_SECONDS later is an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common.h"
#include "histogram.h"

#define GRACE_SECONDS 30
#define READ_BYTES 262144
#define HEAD_BYTES 4096
#define REQUEST_BYTES 4096
#define POLL_MS 20
#define MAX_CONNECT_ERRORS 1000

struct kind {
  char name[16];
  int chunks; /* 0 where the answer has a length instead */
};

enum framing { SIZE, SIZE_END, CONTENT, CONTENT_END, LAST, DONE };

struct connection {
  int fd; /* -1: closed */
  bool is_connecting, is_waiting, has_head, is_chunked, has_first;
  const struct kind *kind;
  uint64_t asked_ns;
  char head[HEAD_BYTES];
  size_t head_bytes;
  size_t left_bytes; /* of the body, or of the chunk */
  enum framing framing;
  int last_line_bytes; /* of the line behind the last chunk */
  int mark_bytes, digits, stamps;
  uint64_t stamp_ns;
};

static struct {
  int port, connections, models, interval_us, ramp_ms;
  double seconds;
  long requests;
  bool announce;
  const char *workload, *prefix;
} options = {.connections = 1, .models = 1, .seconds = 1, .workload = "json", .prefix = "/openai"};

static struct {
  long requests, bytes, chunks;
  long connect, status, broken, unfinished, incomplete; /* errors */
  int open, peak_open;
  uint64_t last_ns; /* when the last answer was complete */
  struct histogram exchange, first_chunk, chunk;
} result;

static const struct kind MIXED[] = {
    {"json", 0}, {"sse-64", 64}, {"json", 0}, {"json", 0}, {"sse-64", 64},
    {"json", 0}, {"embeddings", 0}, {"json", 0}, {"sse-64", 64}, {"json", 0},
};
static struct kind only;
static const struct kind *cycle = &only;
static int cycle_count = 1;

static int epoll_fd;
static long asked;
static uint64_t deadline_ns;
static char request_body[2][2048]; /* chat, embeddings; with a place for the model's name */

/* --- requests --- */

static void build_bodies(void) {
  char text[1024] = "";
  while (strlen(text) < 650) strcat(text, "Explain to a new colleague what the gateway counts, and where. ");
  sprintf(request_body[0],
          "{\"model\":\"%%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a patient assistant who answers in "
          "plain words.\"},{\"role\":\"user\",\"content\":\"%s\"}],\"temperature\":0.7,\"max_tokens\":512,\"stream\":%%s}",
          text);
  sprintf(request_body[1], "{\"model\":\"%%s\",\"input\":[\"%s\"],\"encoding_format\":\"float\"%%s}", text);
}

static size_t build_request(char request[static REQUEST_BYTES], const struct kind *kind) {
  bool is_embeddings = strcmp(kind->name, "embeddings") == 0;
  const char *stream = is_embeddings ? "" : kind->chunks ? "true,\"stream_options\":{\"include_usage\":true}" : "false";
  char model[32], body[2048];
  sprintf(model, options.models > 1 ? "bench-%05ld" : "gpt-4o-mini", asked % options.models);
  int bytes = sprintf(body, request_body[is_embeddings], model, stream);
  return (size_t)sprintf(request,
                         "POST %s/v1/%s HTTP/1.1\r\nhost: gateway.local\r\nuser-agent: bench\r\naccept: application/json\r\n"
                         "content-type: application/json\r\nx-bench: %s\r\nx-bench-interval-us: %d\r\n"
                         "content-length: %d\r\n\r\n%s",
                         options.prefix, is_embeddings ? "embeddings" : "chat/completions", kind->name,
                         options.interval_us, bytes, body);
}

static bool may_ask(uint64_t now) {
  return now < deadline_ns && (options.requests == 0 || asked < options.requests);
}

static void hang_up(struct connection *connection) {
  if (connection->is_waiting && connection->has_first) result.open--;
  close(connection->fd);
  connection->fd = -1;
  connection->is_waiting = false;
}

static void fail(struct connection *connection, long *count) {
  ++*count;
  hang_up(connection);
}

static void ask(struct connection *connection) {
  char request[REQUEST_BYTES];
  const struct kind *kind = &cycle[asked % cycle_count];
  size_t bytes = build_request(request, kind);
  asked++;
  *connection = (struct connection){.fd = connection->fd, .is_waiting = true, .kind = kind, .asked_ns = now_ns()};
  /* A connection at rest takes a request whole. */
  if (send(connection->fd, request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) fail(connection, &result.broken);
}

static void watch(struct connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll_fd, operation, connection->fd, &event) != 0) give_up("epoll_ctl");
}

static void open_connection(struct connection *connection) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection->fd < 0) give_up("socket");
  int on = 1;
  setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
    return fail(connection, &result.connect);
  connection->is_connecting = true;
  watch(connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void finish_connecting(struct connection *connection) {
  int error = 0;
  socklen_t size = sizeof error;
  connection->is_connecting = false;
  getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(connection, &result.connect);
  watch(connection, EPOLL_CTL_MOD, EPOLLIN);
  if (may_ask(now_ns()))
    ask(connection);
  else
    hang_up(connection);
}

/* --- answers --- */

static void note_first(struct connection *connection, uint64_t now) {
  connection->has_first = true;
  count_value(&result.first_chunk, now - connection->asked_ns);
  if (++result.open > result.peak_open) result.peak_open = result.open;
  if (options.announce && result.open == options.connections) {
    options.announce = false;
    printf("{\"open\": %d}\n", result.open);
    fflush(stdout);
  }
}

/* Find the stamps in a piece of a body. They may be cut anywhere. */
static void find_stamps(struct connection *connection, const char *text, size_t bytes, uint64_t now) {
  for (size_t index = 0; index < bytes; index++) {
    char character = text[index];
    if (connection->mark_bytes < STAMP_MARK_BYTES) {
      bool fits = character == STAMP_MARK[connection->mark_bytes];
      connection->mark_bytes = fits ? connection->mark_bytes + 1 : character == STAMP_MARK[0];
      continue;
    }
    connection->stamp_ns = connection->stamp_ns * 10 + (uint64_t)(character - '0');
    if (++connection->digits < STAMP_DIGITS) continue;
    count_value(&result.chunk, now - connection->stamp_ns);
    connection->stamps++;
    connection->stamp_ns = 0;
    connection->mark_bytes = connection->digits = 0;
  }
}

static void take_content(struct connection *connection, const char *text, size_t bytes, uint64_t now) {
  if (!connection->has_first) note_first(connection, now);
  result.bytes += (long)bytes;
  connection->left_bytes -= bytes;
  if (connection->kind->chunks) find_stamps(connection, text, bytes, now);
}

static int hex(char character) {
  return character <= '9' ? character - '0' : (character | 32) - 'a' + 10;
}

/* Take one byte of the framing of chunks. */
static void take_framing(struct connection *connection, char character) {
  switch (connection->framing) {
    case SIZE:
      if (character == '\r')
        connection->framing = SIZE_END;
      else
        connection->left_bytes = connection->left_bytes * 16 + (size_t)hex(character);
      break;
    case SIZE_END:
      connection->framing = connection->left_bytes ? CONTENT : LAST;
      break;
    case CONTENT_END:
      if (character == '\n') connection->framing = SIZE;
      break;
    case LAST: /* trailers, up to an empty line */
      if (character == '\n' && connection->last_line_bytes == 0) connection->framing = DONE;
      if (character != '\r') connection->last_line_bytes = character == '\n' ? 0 : connection->last_line_bytes + 1;
      break;
    case CONTENT:
    case DONE:
      break;
  }
}

static void take_body(struct connection *connection, const char *text, size_t bytes, uint64_t now) {
  while (bytes > 0 && connection->framing != DONE) {
    size_t step = 1;
    if (connection->framing == CONTENT) {
      step = bytes < connection->left_bytes ? bytes : connection->left_bytes;
      take_content(connection, text, step, now);
      if (connection->left_bytes == 0) connection->framing = connection->is_chunked ? CONTENT_END : DONE;
    } else {
      take_framing(connection, *text);
    }
    text += step;
    bytes -= step;
  }
}

/* Take what belongs to the head; return how much that was. */
static size_t take_head(struct connection *connection, const char *text, size_t bytes) {
  size_t room = HEAD_BYTES - 1 - connection->head_bytes, before = connection->head_bytes;
  size_t taken = bytes < room ? bytes : room;
  memcpy(connection->head + before, text, taken);
  connection->head_bytes += taken;
  connection->head[connection->head_bytes] = '\0';
  char *end = strstr(connection->head, "\r\n\r\n");
  if (end == NULL) return taken;
  connection->has_head = true;
  end[2] = '\0';
  const char *length = strcasestr(connection->head, "\ncontent-length:");
  connection->is_chunked = length == NULL;
  connection->left_bytes = length ? (size_t)strtoll(length + 16, NULL, 10) : 0;
  connection->framing = length ? CONTENT : SIZE;
  return (size_t)(end + 4 - connection->head) - before;
}

static void finish(struct connection *connection, uint64_t now) {
  if (connection->has_first) result.open--;
  connection->is_waiting = false;
  if (strncmp(connection->head, "HTTP/1.1 200", 12) != 0) return fail(connection, &result.status);
  /* The last chunk, [DONE], has no stamp. */
  if (connection->kind->chunks && connection->stamps != connection->kind->chunks - 1)
    return fail(connection, &result.incomplete);
  result.requests++;
  result.last_ns = now;
  result.chunks += connection->kind->chunks;
  count_value(&result.exchange, now - connection->asked_ns);
  if (may_ask(now))
    ask(connection);
  else
    hang_up(connection);
}

static void take(struct connection *connection) {
  static char text[READ_BYTES];
  ssize_t bytes = read(connection->fd, text, sizeof text);
  uint64_t now = now_ns();
  if (bytes < 0 && errno == EAGAIN) return;
  if (bytes <= 0) return fail(connection, &result.broken);
  size_t taken = connection->has_head ? 0 : take_head(connection, text, (size_t)bytes);
  if (connection->has_head) take_body(connection, text + taken, (size_t)bytes - taken, now);
  if (!connection->has_head && connection->head_bytes == HEAD_BYTES - 1) return fail(connection, &result.broken);
  if (connection->has_head && connection->framing == DONE) finish(connection, now);
}

/* --- the course --- */

/* Open what should be open by now; return how many connections are in use. */
static int keep_open(struct connection *connections, uint64_t start, uint64_t now) {
  uint64_t ramp_ns = (uint64_t)options.ramp_ms * NS_PER_MS;
  int in_use = 0;
  for (int index = 0; index < options.connections; index++) {
    struct connection *connection = &connections[index];
    bool is_time = start + ramp_ns * (uint64_t)index / (uint64_t)options.connections <= now;
    if (connection->fd < 0 && is_time && may_ask(now)) open_connection(connection);
    in_use += connection->fd >= 0;
  }
  return in_use;
}

static double run(struct connection *connections) {
  struct epoll_event events[MAX_EVENTS];
  uint64_t start = now_ns(), now = start, last_look = 0;
  deadline_ns = start + (uint64_t)(options.seconds * 1e9);
  uint64_t end = deadline_ns + GRACE_SECONDS * NS_PER_S;
  for (int in_use = 1; in_use > 0 || may_ask(now);) {
    if (now - last_look >= NS_PER_MS || in_use == 0) {
      in_use = keep_open(connections, start, now);
      last_look = now;
    }
    if (now >= end || result.connect >= MAX_CONNECT_ERRORS) break;
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, now < start + (uint64_t)options.ramp_ms * NS_PER_MS ? 1 : POLL_MS);
    for (int index = 0; index < count; index++) {
      struct connection *connection = events[index].data.ptr;
      if (connection->is_connecting)
        finish_connecting(connection);
      else
        take(connection);
    }
    now = now_ns();
  }
  for (int index = 0; index < options.connections; index++) result.unfinished += connections[index].is_waiting;
  return result.last_ns > start ? (double)(result.last_ns - start) / 1e9 : 0;
}

static void print_times(const char *name, const struct histogram *histogram) {
  printf(", \"%s\": {\"count\": %llu, \"p50\": %.9f, \"p90\": %.9f, \"p99\": %.9f, \"max\": %.9f}", name,
         (unsigned long long)histogram->count, quantile_ns(histogram, 0.5) / 1e9, quantile_ns(histogram, 0.9) / 1e9,
         quantile_ns(histogram, 0.99) / 1e9, (double)histogram->max / 1e9);
}

static void report(double seconds) {
  printf("{\"requests\": %ld, \"seconds\": %.6f, \"bytes\": %ld, \"chunks\": %ld, \"peak_open\": %d", result.requests,
         seconds, result.bytes, result.chunks, result.peak_open);
  printf(", \"errors\": {\"connect\": %ld, \"status\": %ld, \"incomplete\": %ld, \"broken\": %ld, \"unfinished\": %ld}",
         result.connect, result.status, result.incomplete, result.broken, result.unfinished);
  print_times("exchange_seconds", &result.exchange);
  print_times("first_chunk_seconds", &result.first_chunk);
  print_times("chunk_seconds", &result.chunk);
  puts("}");
}

static void choose_workload(void) {
  if (strcmp(options.workload, "mixed") == 0) {
    cycle = MIXED;
    cycle_count = sizeof MIXED / sizeof *MIXED;
    return;
  }
  snprintf(only.name, sizeof only.name, "%s", options.workload);
  if (strncmp(only.name, "sse-", 4) == 0) only.chunks = atoi(only.name + 4);
}

static void read_options(int argc, char **argv) {
  static const struct option known[] = {
      {"port", 1, 0, 'p'},     {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'}, {"requests", 1, 0, 'r'},
      {"workload", 1, 0, 'w'}, {"interval-us", 1, 0, 'i'}, {"ramp-ms", 1, 0, 'u'}, {"models", 1, 0, 'm'},
      {"prefix", 1, 0, 'x'},   {"announce", 0, 0, 'a'},    {0, 0, 0, 0},
  };
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (option) {
      case 'p': options.port = atoi(optarg); break;
      case 'c': options.connections = atoi(optarg); break;
      case 's': options.seconds = atof(optarg); break;
      case 'r': options.requests = atol(optarg); break;
      case 'w': options.workload = optarg; break;
      case 'i': options.interval_us = atoi(optarg); break;
      case 'u': options.ramp_ms = atoi(optarg); break;
      case 'm': options.models = atoi(optarg); break;
      case 'x': options.prefix = optarg; break;
      case 'a': options.announce = true; break;
      default: exit(2);
    }
  }
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  choose_workload();
  build_bodies();
  raise_descriptor_limit();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct connection *connections = must_have(calloc((size_t)options.connections, sizeof *connections));
  for (int index = 0; index < options.connections; index++) connections[index].fd = -1;
  report(run(connections));
  return 0;
}
