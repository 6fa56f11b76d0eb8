#!/bin/bash
# What Envoy's container does before it is told to end (preStop): Envoy by itself ends at SIGTERM, in the middle of
# every answer. Needs bash and nothing else, because Envoy's image has no curl.
#
#   ACCEPT_SECONDS  how long new connections are still taken after Envoy has said that it goes: until nobody sends any
#   DRAIN_SECONDS   how long, after that, answers may take to finish
#   ADMIN_PORT      Envoy's admin interface on 127.0.0.1
#   ADMIN_SECONDS   how long it may take for an answer, before it is asked again
#
# It ends as soon as no request is under way on any listener, when the time is over, or when Envoy is gone. An Envoy
# that does not answer is busy and not gone: whoever took it for gone would cut what is under way.
set -u
# Envoy may end while it is asked.
trap '' PIPE

accept_seconds=${ACCEPT_SECONDS:-10}
drain_seconds=${DRAIN_SECONDS:-530}
admin_port=${ADMIN_PORT:-9901}
end=$((SECONDS + ${accept_seconds%.*} + ${drain_seconds%.*}))
answer=

# A pipe to which nobody writes: to read from it with a timeout is to sleep.
exec {nothing}<> <(:)

pause() {
  read -r -t "$1" -u "$nothing" || true
}

say() {
  # Into Envoy's log, where it is the first process of the container: a preStop hook's own output goes nowhere.
  local log=/dev/stderr
  [[ $(< /proc/1/comm) == envoy && -w /proc/1/fd/2 ]] && log=/proc/1/fd/2
  printf 'drain.sh: %s\n' "$1" >> "$log"
}

finish() {
  say "$1"
  exit 0
}

# try METHOD PATH: ask the admin interface for an answer, headers and all; fail if there is none in time.
try() {
  local connection
  { exec {connection}<> "/dev/tcp/127.0.0.1/$admin_port"; } 2> /dev/null || finish "Envoy is gone"
  printf '%s %s HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' "$1" "$2" \
    >&"$connection" 2> /dev/null
  # To its end: there is no NUL in it.
  IFS= read -r -d '' -t "${ADMIN_SECONDS:-5}" -u "$connection" answer 2> /dev/null
  exec {connection}>&-
  [[ $answer == HTTP/* ]]
}

# ask METHOD PATH: the same, until there is an answer or the time is over.
ask() {
  until try "$@"; do
    [ "$SECONDS" -ge "$end" ] && finish "time is up, and Envoy does not say what is under way"
    pause 0.2
  done
}

# Add up how many requests are under way, without those to the admin interface, of which this is one.
count_active() {
  ask GET '/stats?filter=^http\..*\.downstream_rq_active$'
  requests=
  while [[ $answer =~ http\.([^[:space:]]+)\.downstream_rq_active:\ ([0-9]+)(.*) ]]; do
    answer=${BASH_REMATCH[3]}
    [ "${BASH_REMATCH[1]}" = admin ] || requests=$((requests + BASH_REMATCH[2]))
  done
}

# /ready says no from here on, and every answer asks its client to use another connection.
ask POST /healthcheck/fail
pause "$accept_seconds"

# After --drain-time-s nothing new is taken on the gateway's port; what is under way goes on, and /stats/prometheus
# stays.
ask POST "/drain_listeners?graceful&inboundonly"
while count_active; [ "$requests" != 0 ]; do
  [ "$SECONDS" -ge "$end" ] && finish "time is up with ${requests:-unknown} requests under way"
  pause 1
done
finish "no request is under way"
