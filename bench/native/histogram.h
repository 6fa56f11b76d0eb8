/*
 * Times in ns, counted in buckets of which 64 make a doubling: what is read back is within 1 % of what was put in.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define SUB_BITS 6
#define SUB_BUCKETS (1u << SUB_BITS)
#define BUCKETS ((64 - SUB_BITS + 1) * SUB_BUCKETS)

struct histogram {
  uint64_t buckets[BUCKETS], count, max;
};

static inline unsigned bucket_of(uint64_t value) {
  if (value < SUB_BUCKETS) return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
  return shift * SUB_BUCKETS + (unsigned)(value >> shift);
}

/* The middle of a bucket. */
static inline double value_of(unsigned bucket) {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  unsigned shift = bucket / SUB_BUCKETS - 1;
  return ((double)(bucket - shift * SUB_BUCKETS) + 0.5) * (double)(1ull << shift);
}

static inline void count_value(struct histogram *histogram, uint64_t value) {
  histogram->buckets[bucket_of(value)]++;
  histogram->count++;
  if (value > histogram->max) histogram->max = value;
}

static inline double quantile_ns(const struct histogram *histogram, double quantile) {
  uint64_t wanted = (uint64_t)((double)histogram->count * quantile), seen = 0;
  for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
    seen += histogram->buckets[bucket];
    if (seen > wanted) return value_of(bucket);
  }
  return (double)histogram->max;
}

#endif
