/*
 * upstream SOCKET: a mock of OpenAI on a Unix socket, HTTP/1.1 with keep-alive. The header x-bench chooses the answer:
 *
 *   json         one chat completion of about 1.5 KB, with content-length
 *   sse-N        N chunks (at least 4), each one event and one write: role, content, finish_reason, usage, [DONE]
 *   embeddings   3 MB of embeddings, with content-length
 *
 * x-bench-interval-us paces the chunks. Without it the next chunk is written when Envoy has read the one before: on a Unix
 * socket SIOCOUTQ says how much the peer has not read, and the kernel reports each read of the peer's as an EPOLLOUT edge.
 * So Envoy gets N chunks in N reads, as fast as it reads.
 */
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "common.h"

#define REQUEST_BYTES 16384 /* of a request's head, and of what is read of its body at once */
#define EVENT_BYTES 1024
#define MIN_CHUNKS 4
#define EMBEDDINGS 48
#define DIMENSIONS 3072
/* Less than the kernel charges for the shortest write; see `is_drained`. */
#define DRAINED_BYTES 64

struct stream {
  int fd;
  char in[REQUEST_BYTES];
  size_t in_bytes;
  size_t body_bytes; /* of the request's body, still to come */
  bool has_head;
  char kind[16]; /* of the answer: what x-bench says */
  const char *out; /* what the socket has not taken yet */
  size_t out_bytes;
  char event[EVENT_BYTES];
  int chunks, sent; /* of the answer; chunks is 0 where it is none of events */
  uint64_t interval_ns, due_ns;
  size_t place; /* in the heap of what is due, from 1; 0: not in it */
};

static int epoll_fd, timer_fd;
static char *json_answer, *embeddings_answer;
static size_t json_bytes, embeddings_bytes;

static const char SSE_HEAD[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    "transfer-encoding: chunked\r\n\r\n";

/* --- what is due: a binary heap, and a timer set to the first --- */

static struct stream **heap;
static size_t heap_count, heap_room;

static void place(struct stream *stream, size_t index) {
  heap[index] = stream;
  stream->place = index;
}

static void sift(struct stream *stream, size_t index) {
  for (; index > 1 && stream->due_ns < heap[index / 2]->due_ns; index /= 2) place(heap[index / 2], index);
  for (size_t child = 2 * index; child <= heap_count; index = child, child = 2 * index) {
    if (child < heap_count && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
    if (heap[child]->due_ns >= stream->due_ns) break;
    place(heap[child], index);
  }
  place(stream, index);
}

static void put_in_heap(struct stream *stream) {
  if (heap_count + 2 > heap_room) {
    heap_room = heap_room ? 2 * heap_room : 1024;
    heap = must_have(realloc(heap, heap_room * sizeof *heap));
  }
  sift(stream, ++heap_count);
}

static void take_from_heap(struct stream *stream) {
  size_t index = stream->place;
  if (index == 0) return;
  struct stream *last = heap[heap_count--];
  stream->place = 0;
  if (last != stream) sift(last, index);
}

static void set_timer(void) {
  static uint64_t set_to;
  uint64_t first = heap_count ? heap[1]->due_ns : 0;
  if (first == set_to) return;
  set_to = first;
  struct itimerspec when = {.it_value = {.tv_sec = (time_t)(first / NS_PER_S), .tv_nsec = (long)(first % NS_PER_S)}};
  if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) != 0) give_up("timerfd_settime");
}

/* --- answers --- */

static void hang_up(struct stream *stream) {
  take_from_heap(stream);
  close(stream->fd);
  stream->fd = -1; /* whoever called frees it */
}

static char *with_head(const char *body, size_t *bytes) {
  char *answer = must_have(malloc(strlen(body) + 256));
  *bytes = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                           strlen(body), body);
  return answer;
}

static void build_json(void) {
  char body[4096], text[1200] = "";
  while (strlen(text) < 900) strcat(text, "A gateway counts what passes and changes nothing of it. ");
  sprintf(body,
          "{\"id\":\"chatcmpl-CQ1b7sZ3mU0w4xTn9Yd2eHk5LrPv\",\"object\":\"chat.completion\",\"created\":1760000000,"
          "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
          "\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
          "\"usage\":{\"prompt_tokens\":211,\"completion_tokens\":187,\"total_tokens\":398,\"prompt_tokens_details\":"
          "{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
          "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},"
          "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_560af6e559\"}",
          text);
  json_answer = with_head(body, &json_bytes);
}

static void build_embeddings(void) {
  char *body = must_have(malloc((size_t)EMBEDDINGS * DIMENSIONS * 24 + 4096)), *end = body;
  uint64_t random = 42;
  end += sprintf(end, "{\"object\":\"list\",\"data\":[");
  for (int index = 0; index < EMBEDDINGS; index++) {
    end += sprintf(end, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":[", index ? "," : "", index);
    for (int dimension = 0; dimension < DIMENSIONS; dimension++) {
      random = random * 6364136223846793005ull + 1442695040888963407ull;
      end += sprintf(end, "%s%.16f", dimension ? "," : "", (double)(int64_t)random / 3.0e20);
    }
    end += sprintf(end, "]}");
  }
  sprintf(end, "],\"model\":\"text-embedding-3-large\",\"usage\":{\"prompt_tokens\":384,\"total_tokens\":384}}");
  embeddings_answer = with_head(body, &embeddings_bytes);
  free(body);
}

static const char *event_tail(const struct stream *stream, char tail[static 512]) {
  int number = stream->sent, last = stream->chunks - 1;
  if (number == last - 1) {
    sprintf(tail, "[],\"usage\":{\"prompt_tokens\":211,\"completion_tokens\":%d,\"total_tokens\":%d,"
            "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":"
            "{\"reasoning_tokens\":0,\"audio_tokens\":0}}}", stream->chunks, 211 + stream->chunks);
    return tail;
  }
  const char *delta = number == 0          ? "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"
                      : number == last - 2 ? ""
                                           : "\"content\":\" gateway\"";
  sprintf(tail, "[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}],\"usage\":null}", delta,
          number == last - 2 ? "\"stop\"" : "null");
  return tail;
}

/* Put the next chunk in place, with its framing; the last one ends the answer. */
static void build_chunk(struct stream *stream) {
  char event[EVENT_BYTES - 32], tail[512];
  if (stream->sent == stream->chunks - 1) {
    stream->out_bytes = (size_t)sprintf(stream->event, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
  } else {
    int bytes = sprintf(event,
                        "data: {\"id\":\"chatcmpl-CQ1b7sZ3mU0w4xTn9Yd2eHk5LrPv\",\"object\":\"chat.completion.chunk\","
                        "\"created\":1760000000,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\","
                        "\"system_fingerprint\":" STAMP_MARK "%0*llu\",\"choices\":%s\n\n",
                        STAMP_DIGITS, (unsigned long long)now_ns(), event_tail(stream, tail));
    stream->out_bytes = (size_t)sprintf(stream->event, "%x\r\n%s\r\n", (unsigned)bytes, event);
  }
  stream->out = stream->event;
  stream->sent++;
}

/* Whether the peer has read everything. The kernel may hold back 1 of its count until it has told us of the read. */
static bool is_drained(const struct stream *stream) {
  int unread_bytes = 0;
  if (ioctl(stream->fd, SIOCOUTQ, &unread_bytes) != 0) give_up("SIOCOUTQ");
  return unread_bytes < DRAINED_BYTES;
}

static void flush(struct stream *stream) {
  while (stream->out_bytes > 0) {
    ssize_t taken = send(stream->fd, stream->out, stream->out_bytes, MSG_NOSIGNAL);
    if (taken < 0 && errno == EAGAIN) return;
    if (taken < 0) return hang_up(stream);
    stream->out += taken;
    stream->out_bytes -= (size_t)taken;
  }
}

/* Go on with the answer as far as it can be gone on with now. What waits for the socket does not wait for the timer. */
static void proceed(struct stream *stream, uint64_t now) {
  take_from_heap(stream);
  flush(stream);
  while (stream->fd >= 0 && stream->out_bytes == 0 && stream->sent < stream->chunks) {
    if (stream->interval_ns == 0 && !is_drained(stream)) return;
    if (stream->interval_ns != 0 && now < stream->due_ns) return put_in_heap(stream);
    build_chunk(stream);
    stream->due_ns += stream->interval_ns;
    flush(stream);
  }
}

/* --- requests --- */

/* Copy a header's value, if there is one; return it as a number, 0 if it is none. */
static long header(const char *head, const char *name, char *value, size_t room) {
  const char *found = strcasestr(head, name);
  if (found == NULL) return 0;
  found += strlen(name);
  found += strspn(found, " ");
  snprintf(value, room, "%.*s", (int)strcspn(found, "\r"), found);
  return strtol(value, NULL, 10);
}

static void drop(struct stream *stream, size_t bytes) {
  stream->in_bytes -= bytes;
  memmove(stream->in, stream->in + bytes, stream->in_bytes);
}

static bool take_head(struct stream *stream) {
  char *end = memmem(stream->in, stream->in_bytes, "\r\n\r\n", 4), number[32];
  if (end == NULL) return false;
  *end = '\0';
  stream->body_bytes = (size_t)header(stream->in, "\ncontent-length:", number, sizeof number);
  stream->interval_ns = (uint64_t)header(stream->in, "\nx-bench-interval-us:", number, sizeof number) * NS_PER_US;
  header(stream->in, "\nx-bench:", stream->kind, sizeof stream->kind);
  drop(stream, (size_t)(end + 4 - stream->in));
  return true;
}

static void answer(struct stream *stream) {
  stream->chunks = stream->sent = 0;
  if (strncmp(stream->kind, "sse-", 4) == 0) {
    int chunks = atoi(stream->kind + 4);
    stream->chunks = chunks < MIN_CHUNKS ? MIN_CHUNKS : chunks;
    stream->out = SSE_HEAD;
    stream->out_bytes = sizeof SSE_HEAD - 1;
    /* Streams that were asked for together must not speak together. */
    if (stream->interval_ns) stream->due_ns = now_ns() + (uint64_t)random() % stream->interval_ns;
  } else {
    bool is_embeddings = strcmp(stream->kind, "embeddings") == 0;
    stream->out = is_embeddings ? embeddings_answer : json_answer;
    stream->out_bytes = is_embeddings ? embeddings_bytes : json_bytes;
  }
  proceed(stream, now_ns());
}

/* Read what there is, and answer each request that is complete. */
static void take_requests(struct stream *stream) {
  while (stream->fd >= 0) {
    ssize_t bytes = read(stream->fd, stream->in + stream->in_bytes, sizeof stream->in - stream->in_bytes);
    if (bytes < 0 && errno == EAGAIN) return;
    if (bytes <= 0) return hang_up(stream);
    stream->in_bytes += (size_t)bytes;
    if (!stream->has_head && !(stream->has_head = take_head(stream))) continue;
    size_t skipped = stream->in_bytes < stream->body_bytes ? stream->in_bytes : stream->body_bytes;
    stream->body_bytes -= skipped;
    drop(stream, skipped);
    if (stream->body_bytes > 0) continue;
    stream->has_head = false;
    answer(stream);
  }
}

static void accept_all(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    struct stream *stream = must_have(calloc(1, sizeof *stream));
    stream->fd = fd;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = stream};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl");
  }
}

static int listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 65535) != 0)
    give_up(path);
  return listener;
}

static void watch(int fd, void *as) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = as};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl");
}

static void serve(int listener) {
  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    set_timer();
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    for (int index = 0; index < count; index++) {
      struct stream *stream = events[index].data.ptr;
      uint64_t expirations;
      if (events[index].data.ptr == &epoll_fd) {
        accept_all(listener);
      } else if (events[index].data.ptr == &timer_fd) {
        if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) give_up("timerfd");
      } else {
        if (events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take_requests(stream);
        if (stream->fd >= 0) proceed(stream, now_ns());
        if (stream->fd < 0) free(stream);
      }
    }
    for (uint64_t now = now_ns(); heap_count && heap[1]->due_ns <= now;) {
      struct stream *stream = heap[1];
      proceed(stream, now);
      if (stream->fd < 0) free(stream);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: upstream SOCKET\n"), 2;
  raise_descriptor_limit();
  build_json();
  build_embeddings();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (epoll_fd < 0 || timer_fd < 0) give_up("epoll");
  int listener = listen_at(argv[1]);
  watch(listener, &epoll_fd);
  watch(timer_fd, &timer_fd);
  serve(listener);
}
