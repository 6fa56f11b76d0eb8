#!/bin/bash
# What Envoy's container does before it is told to end (preStop): Envoy by itself ends at SIGTERM, in the middle of
# every answer. Needs bash and nothing else, because Envoy's image has no curl.
#
#   ACCEPT_SECONDS  how long new connections are still taken after Envoy has said that it goes: until nobody sends any
#   DRAIN_SECONDS   how long, after that, answers may take to finish
#   ADMIN_PORT      Envoy's admin interface on 127.0.0.1
#   ADMIN_SECONDS   how long it may say nothing before it counts as gone
#   STAT_PREFIX     the stat_prefix of the HTTP connection manager
#
# It ends as soon as no request is under way, when the time is over, or when Envoy is gone.
set -u

accept_seconds=${ACCEPT_SECONDS:-10}
drain_seconds=${DRAIN_SECONDS:-530}
admin_port=${ADMIN_PORT:-9901}
active="http.${STAT_PREFIX:-gateway}.downstream_rq_active"

# A pipe to which nobody writes: to read from it with a timeout is to sleep.
exec {nothing}<> <(:)

pause() {
  read -r -t "$1" -u "$nothing" || true
}

# ask METHOD PATH: print what the admin interface answers, headers and all; fail if there is none.
ask() {
  local connection line status=1
  { exec {connection}<> "/dev/tcp/127.0.0.1/$admin_port"; } 2> /dev/null || return 1
  printf '%s %s HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' "$1" "$2" >&"$connection"
  while read -r -t "${ADMIN_SECONDS:-5}" -u "$connection" line; do
    status=0
    printf '%s\n' "${line%$'\r'}"
  done
  exec {connection}>&-
  return "$status"
}

# Print how many requests are under way; fail if nobody says.
count_active() {
  local answer
  answer=$(ask GET "/stats?filter=^${active//./\\.}\$") || return 1
  [[ $answer =~ "$active: "([0-9]+) ]] || return 1
  printf '%s\n' "${BASH_REMATCH[1]}"
}

say() {
  # Into Envoy's log, where it is the first process of the container: a preStop hook's own output goes nowhere.
  local log=/dev/stderr
  [[ $(< /proc/1/comm) == envoy && -w /proc/1/fd/2 ]] && log=/proc/1/fd/2
  printf 'drain.sh: %s\n' "$1" >> "$log"
}

# /ready says no from here on, and every answer asks its client to use another connection.
ask POST /healthcheck/fail > /dev/null || { say "Envoy is gone already"; exit 0; }
pause "$accept_seconds"

# After --drain-time-s nothing new is taken on the gateway's port; what is under way goes on, and /stats/prometheus
# stays.
ask POST "/drain_listeners?graceful&inboundonly" > /dev/null || exit 0
end=$((SECONDS + drain_seconds))
while requests=$(count_active); do
  [ "$requests" -eq 0 ] && { say "no request is under way"; exit 0; }
  [ "$SECONDS" -ge "$end" ] && { say "time is up with $requests requests under way"; exit 0; }
  pause 1
done
say "Envoy is gone"
