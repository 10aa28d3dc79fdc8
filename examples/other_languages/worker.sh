#!/usr/bin/env bash
# A worker of curl and jq: asks for one shell task of a directory, runs it, reports; again until there is none.
#
#     ORCHESTRATOR_URL=http://127.0.0.1:8080 examples/other_languages/worker.sh /srv/shop
set -euo pipefail
api="${ORCHESTRATOR_URL:-http://127.0.0.1:8080}/api/v1"
directory=$(realpath "$1")
me="$(hostname)-$$-$RANDOM"
call() { curl -sS --fail-with-body --max-time 90 -H "Authorization: Bearer ${ORCHESTRATOR_API_KEY:-}" -H 'Content-Type: application/json' "$@"; }

while true; do
    # Long enough for the work, since nothing here sends heartbeats.
    claim=$(call -G "$api/tasks/next" --data-urlencode "work_path=$directory" -d "worker_id=$me" -d kinds=script -d lease_seconds=600 -d "wait=${WAIT:-0}")
    task=$(jq '.data' <<<"$claim")
    [ "$task" != null ] || break
    id=$(jq .id <<<"$task")
    if output=$(cd "$directory" && bash -c "$(jq -r .spec.command <<<"$task")" 2>&1); then
        jq --arg output "$output" '{lease, result: {$output}}' <<<"$task" | call "$api/tasks/$id/complete" -d @- >/dev/null
    else
        code=$?
        jq --arg output "$output" --arg code "$code" '{lease, error: {type: "ExitCode", message: "exit code \($code): \($output)"}}' <<<"$task" |
            call "$api/tasks/$id/fail" -d @- >/dev/null
    fi
    echo "task $id done"
done
