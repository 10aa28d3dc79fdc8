"""What is said about one task."""

from typing import Final

from orchestrator.domain.advice.catalogue.entry import Entry

OF_A_TASK: Final = {
    "command_not_found": Entry(
        90, "the shell, or exit code 127, says that a program is not there",
        "The command {command} was not found.",
        "Install it on the worker's machine, or give its whole path: a worker passes PATH on as it was started with.",
        "A command was not found (exit code 127).",
    ),
    "not_executable": Entry(
        90, "exit code 126: what was to be run may not be",
        "The command cannot be executed (exit code 126).",
        "Make it executable (`chmod +x`), and look at its first line: the interpreter that it names has to be there.",
    ),
    "permission_denied": Entry(
        80, "the operating system refused access",
        "Access to {what} was denied.",
        "Let the worker's user have it, or run a worker as a user who may.",
        "Access to a file or a device was denied.",
    ),
    "no_such_file": Entry(
        75, "a file or directory that was needed is not there",
        "{path} is not there.",
        "Create it, correct the path, or let the task depend on the one that makes it.",
        "A file or directory is not there.",
    ),
    "disk_full": Entry(
        95, "no room was left on a disk, or a quota of it was used up",
        "The disk is full.",
        "Free some space on the worker's machine; every task there will fail until then.",
    ),
    "read_only": Entry(
        85, "what was to be written lies on a file system that is read-only",
        "The file system is read-only.",
        "Mount it for writing, or give the task a directory that is; a worker's unit may have `ReadWritePaths`.",
    ),
    "too_many_files": Entry(
        80, "the limit of open files was reached",
        "Too many files were open.",
        "Raise the limit (`ulimit -n`, `LimitNOFILE` of the worker's unit), or look for files that are never closed.",
    ),
    "memory_limit": Entry(
        92, "the worker ended it: it had more memory than `resource_limits.memory` allows",
        "It took more memory than its `resource_limits.memory` allows.",
        "Raise `resource_limits.memory` of the task, or let it do less at once.",
    ),
    "out_of_memory": Entry(
        88, "a program could get no more memory, by its own words",
        "It ran out of memory.",
        "Give it more memory or less to do at once; run fewer tasks beside it (`--concurrency` of the worker).",
    ),
    "killed": Entry(
        70, "a signal ended it that it did not ask for",
        "It was ended by the signal {signal}.",
        "SIGKILL is mostly the kernel's, when memory is short: look at `dmesg`. Others come from whoever stopped it.",
    ),
    "crashed": Entry(
        75, "a program crashed: SIGSEGV, SIGABRT, SIGBUS, SIGILL",
        "The program crashed ({signal}).",
        "It is a fault of the program: update it, or look at its core dump.",
    ),
    "connection_refused": Entry(
        80, "nobody listened where a connection was made to",
        "Nobody listens at {address}.",
        "Start the service, or correct its address; let the task depend on what starts it.",
        "A connection was refused: nobody listens there.",
    ),
    "name_not_resolved": Entry(
        80, "a host name has no address, or DNS does not answer",
        "The host name {name} could not be resolved.",
        "Correct the name, or look at DNS and the network of the worker's machine.",
        "A host name could not be resolved.",
    ),
    "network_timeout": Entry(
        70, "a connection got no answer in time, or there was no way to it",
        "A connection over the network got no answer.",
        "Look at the network, the firewall and the proxy of the worker's machine; more attempts with a longer backoff may do.",
    ),
    "tls_failed": Entry(
        82, "a certificate was not accepted, or TLS could not be agreed on",
        "A TLS connection failed: the certificate was not accepted.",
        "Renew the certificate, correct the host name or the clock, or let the worker's machine trust its issuer.",
    ),
    "http_unauthorized": Entry(
        85, "an HTTP service answered 401",
        "A service answered 401: it does not know who asks.",
        "Renew the token or key that the task sends; keep it in a secret.",
    ),
    "http_forbidden": Entry(
        82, "an HTTP service answered 403",
        "A service answered 403: who asks may not do that.",
        "Give the key the right that it needs, or use one that has it.",
    ),
    "http_not_found": Entry(
        70, "an HTTP service answered 404",
        "A service answered 404: there is nothing at that address.",
        "Correct the address; some services also answer so to who may not see it.",
    ),
    "http_rate_limited": Entry(
        80, "an HTTP service answered 429",
        "A service answered 429: it was asked too often.",
        "Ask less often: fewer tasks at once (`max_running`), a longer backoff, or spread schedules.",
    ),
    "http_server_error": Entry(
        65, "an HTTP service answered 5xx",
        "A service answered {status}: the fault is there.",
        "Try again later: more attempts with a longer backoff; tell whoever runs it.",
    ),
    "http_status": Entry(
        60, "an HTTP service answered with a status that was not expected",
        "A service answered {status}, which was not expected.",
        "Look at the answer; if it is right, name it in `expect_status`.",
    ),
    "git_conflict": Entry(
        88, "git could not merge, rebase or apply by itself",
        "Git met a conflict.",
        "Merge or rebase by hand, or have an agent do it; tasks that change the same files want `depends_on` or worktrees.",
    ),
    "git_dirty": Entry(
        82, "git refused because of changes that are not committed",
        "The checkout has changes that are not committed.",
        "Commit or stash them; a worker with `--worktree` gives each task a clean tree of its own.",
    ),
    "git_auth": Entry(
        85, "a git server did not accept who asked",
        "Git was not let in by the server.",
        "Give the worker's user a key or token for that repository; nobody can type a password there.",
    ),
    "git_locked": Entry(
        80, "another git was at work in the checkout, or died there",
        "Another git works in this checkout, or one died and left its lock.",
        "Let tasks of one checkout be `exclusive`; remove `.git/index.lock` when no git runs.",
    ),
    "git_rejected": Entry(
        80, "a push was refused because the branch has moved on",
        "A push was rejected: the branch has moved on.",
        "Fetch and rebase, then push again; let one task push at a time.",
    ),
    "port_in_use": Entry(
        78, "a program could not listen because its port is taken",
        "The port {port} is taken by another program.",
        "Stop the other one, use a free port (0), or let tasks that need the port be `exclusive`.",
        "A port is taken by another program.",
    ),
    "module_missing": Entry(
        82, "a library that a program imports is not installed",
        "The module {module} is not installed.",
        "Install the dependencies of the project in this directory first, as a task that this one depends on.",
        "A module is not installed.",
    ),
    "tests_failed": Entry(
        84, "a test runner says that tests failed; `tests`: those that the output names",
        "Tests failed: {tests:list}.",
        "Look at the first of them; the other failures may follow from it.",
        "Tests failed.",
    ),
    "verify_failed": Entry(
        72, "the work was done, but its `verify` command did not pass",
        "The work was done, but `verify` did not pass.",
        "The next attempt is told what `verify` said. When it never passes, run it by hand: it may fail without the work, too.",
    ),
    "agent_auth": Entry(
        94, "the agent is not logged in, or its key is refused",
        "The agent is not logged in, or its key is refused.",
        "Log it in as the worker's user, or give the worker its key; no other task will fare better until then.",
    ),
    "agent_missing": Entry(
        94, "the worker cannot start the program of the agent",
        "The agent can't be started.",
        "Install it on the worker's machine, or name its program in the worker's settings; see `--agent` of the worker.",
    ),
    "agent_quota": Entry(
        86, "the quota or rate of the agent's account is used up",
        "The quota of the agent's account is used up.",
        "It goes on by itself when the quota is renewed; other accounts for other workers spread the work.",
    ),
    "agent_budget": Entry(
        86, "the budget of the task or of its directory is used up",
        "Its budget is used up.",
        "Approve it to go on with more, or split it into smaller tasks.",
    ),
    "context_too_long": Entry(
        86, "what the agent was to read did not fit into its model's context",
        "The conversation became too long for the model.",
        "Split the task into smaller ones, or begin a new session instead of going on in the old one.",
    ),
    "agent_silent": Entry(
        80, "the agent printed nothing for so long that the worker ended it",
        "The agent was silent for too long, so it was ended.",
        "It may have waited for a question that nobody saw, or for a program without an end; look at its last lines.",
    ),
    "agent_unclear": Entry(
        60, "the agent ended without saying how it went",
        "The agent ended without saying how it went.",
        "Look at its last lines; its version may be one that this worker does not know.",
    ),
    "invalid_spec": Entry(
        95, "the worker does not understand the `spec` of the task",
        "The `spec` of the task is not understood by the worker.",
        "Correct `spec` as the error says; trying again changes nothing.",
    ),
    "result_refused": Entry(
        80, "the work was done, but the server refused its result",
        "The work was done, but its result could not be reported.",
        "Make the result smaller, or valid JSON; write what is large into a file.",
    ),
    "timed_out": Entry(
        78, "the attempt took longer than its time-out; nothing is known of how long such work takes",
        "It was still running after its time-out of {timeout_seconds:time}.",
        "Raise `timeout_seconds`, if such work takes so long; otherwise look at the last lines for what it waited for.",
    ),
    "timeout_short": Entry(
        90, "the attempt took longer than its time-out, and others of its kind take nearly as long",
        "Its time-out of {timeout_seconds:time} is too short: {samples} others took up to {longest_seconds:time}.",
        "Set `timeout_seconds` to {suggested_seconds} ({suggested_seconds:time}).",
    ),
    "timeout_hung": Entry(
        85, "the attempt took longer than its time-out, though others of its kind are done long before",
        "It hung: {samples} others were done within {longest_seconds:time}, this one was ended after {timeout_seconds:time}.",
        "Look at the last lines for what it waited for. With `timeout_seconds` {suggested_seconds} it would be known sooner.",
    ),
    "lease_lost": Entry(
        86, "the worker did not renew its lease: it died, hung or was cut off",
        "The worker let its lease run out {times} times, on {workers:list}.",
        "Look at that machine: was the worker killed, suspended, or without network? Its memory may be short for such tasks.",
    ),
    "dependency_failed": Entry(
        90, "a task that it depends on did not complete",
        "It was cancelled because a task that it depends on did not complete.",
        "Retry that one: this one comes back by itself.",
    ),
    "same_error": Entry(
        55, "all attempts failed in the same way",
        "All {times} attempts failed with the same error.",
        "Trying again will not help: change the task or what it needs.",
    ),
    "different_errors": Entry(
        45, "attempts failed in different ways",
        "The {times} attempts failed in {ways} different ways.",
        "That points to something around it: network, load, other tasks there. Make it `exclusive`, or raise the backoff.",
    ),
    "others_fail": Entry(
        66, "other tasks of the directory fail with the same error",
        "{tasks} other tasks of this directory fail with the same error, since {since}.",
        "Look for what changed there at that time; pause the directory until it is mended.",
    ),
    "only_this": Entry(
        40, "other tasks of the same work complete lately",
        "Only this one fails: the last {samples} like it completed.",
        "What differs is in this task: its prompt, its `spec`, or the state of its directory.",
    ),
    "exit_code": Entry(
        35, "nothing more is known than its exit code and its last words",
        "It ended with exit code {exit_code}.",
        "Look at its last lines; let the command say more about why it ends.",
    ),
    "unexplained": Entry(
        20, "it failed, and no rule knows why",
        "It failed with {type}, and nothing that is known explains it.",
        "Read the error and the last lines; the `diagnose` prompt over MCP has an agent do so.",
    ),
}  # fmt: skip
