/*
 * What upstream.c and load.c share: the clock, the stamp that events carry from one to the other, and how a program gives
 * up. Everything here is Linux: epoll, timerfd, SIOCOUTQ.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* An event says when it was sent: CLOCK_MONOTONIC in ns, so many digits behind the mark. */
#define STAMP_MARK "\"fp_"
#define STAMP_MARK_BYTES 4
#define STAMP_DIGITS 19

#define MAX_EVENTS 256

static inline uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static inline void give_up(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline void *must_have(void *memory) {
  if (memory == NULL) give_up("memory");
  return memory;
}

/* Each connection is a descriptor; the usual soft limit of 1024 is for programs that use select. */
static inline void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) give_up("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) give_up("setrlimit");
}

#endif
