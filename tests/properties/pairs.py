"""Operations of two servers that meet: each pair with the state in which it does."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestrator.domain import operations as ops
from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.outcomes import Grant
from orchestrator.domain.principal import ALL_SCOPES, SYSTEM, Principal
from tests.properties.replicas import batch_of
from tests.rig import HOUR, Rig, claim, enqueue, interest, new_task
from worker_client.contract.enums import LogStream

Batches = tuple[list[ops.Submission], list[ops.Submission]]
LINE = ops.LogLine("x", LogStream.STDOUT, None)
EXPIRE = ops.Submission(ops.Expire(), SYSTEM)
PROMOTE = ops.Submission(ops.Promote(), SYSTEM)
PRUNE = ops.Submission(ops.Prune(before=2 * 10**12, keys_before=0), SYSTEM)


def done(grant: Grant) -> ops.Complete:
    return ops.Complete(task_id=grant.task_id, lease=grant.lease)


def lost(grant: Grant) -> ops.Fail:
    return ops.Fail(task_id=grant.task_id, lease=grant.lease, error="{}", retryable=False)


def beat(grant: Grant) -> ops.Heartbeat:
    return ops.Heartbeat(task_id=grant.task_id, lease=grant.lease)


def two_parents(rig: Rig) -> tuple[Grant, Grant, int]:
    one, other = rig.running("/p"), rig.running("/q")
    return one, other, rig.add("/c", depends_on=(one.task_id, other.task_id))


def child_of(parent: int) -> ops.Enqueue:
    return enqueue(new_task("/c", depends_on=(parent,)))


def parents_complete(rig: Rig) -> Batches:
    one, other, _ = two_parents(rig)
    return batch_of(done(one)), batch_of(done(other))


def parent_completes_parent_fails(rig: Rig) -> Batches:
    one, other, _ = two_parents(rig)
    return batch_of(done(one)), batch_of(lost(other))


def parent_retried_parent_fails(rig: Rig) -> Batches:
    one, other, _ = two_parents(rig)
    rig.do(lost(one))
    return batch_of(ops.Retry(task_id=one.task_id)), batch_of(lost(other))


def both_parents_retried(rig: Rig) -> Batches:
    one, other, _ = two_parents(rig)
    rig.do(lost(one))
    rig.do(lost(other))
    return batch_of(ops.Retry(task_id=one.task_id)), batch_of(ops.Retry(task_id=other.task_id))


def child_retried_parent_fails(rig: Rig) -> Batches:
    one, _, child = two_parents(rig)
    rig.do(ops.Cancel(task_id=child))
    return batch_of(ops.Retry(task_id=child)), batch_of(lost(one))


def child_cancelled_parent_completes(rig: Rig) -> Batches:
    grant = rig.running("/p")
    child = rig.add("/c", depends_on=(grant.task_id,))
    return batch_of(ops.Cancel(task_id=child)), batch_of(done(grant))


def child_deleted_parent_completes(rig: Rig) -> Batches:
    grant = rig.running("/p")
    child = rig.add("/c", depends_on=(grant.task_id,))
    return batch_of(ops.Delete(task_id=child)), batch_of(done(grant))


def child_moved_parent_completes(rig: Rig) -> Batches:
    grant = rig.running("/p")
    child = rig.add("/c", depends_on=(grant.task_id,))
    return batch_of(ops.Update(task_id=child, path="/d", priority=3)), batch_of(done(grant))


def child_created_parent_completes(rig: Rig) -> Batches:
    grant = rig.running("/p")
    return batch_of(child_of(grant.task_id)), batch_of(done(grant))


def child_created_parent_fails(rig: Rig) -> Batches:
    grant = rig.running("/p")
    return batch_of(child_of(grant.task_id)), batch_of(lost(grant))


def child_created_parent_expires(rig: Rig) -> Batches:
    grant = rig.running("/p", max_attempts=1)
    rig.time.pass_(HOUR)
    return batch_of(child_of(grant.task_id)), batch_of(EXPIRE)


def child_created_parent_cancelled(rig: Rig) -> Batches:
    parent = rig.add("/p")
    return batch_of(child_of(parent)), batch_of(ops.Cancel(task_id=parent))


def child_created_parent_deleted(rig: Rig) -> Batches:
    parent = rig.add("/p")
    return batch_of(child_of(parent)), batch_of(ops.Delete(task_id=parent))


def child_created_parent_retried(rig: Rig) -> Batches:
    grant = rig.running("/p")
    rig.do(done(grant))
    return batch_of(child_of(grant.task_id)), batch_of(ops.Retry(task_id=grant.task_id))


def child_created_parent_pruned(rig: Rig) -> Batches:
    grant = rig.running("/p")
    rig.do(done(grant))
    return batch_of(child_of(grant.task_id)), batch_of(PRUNE)


def grandchild_created_parent_fails(rig: Rig) -> Batches:
    grant = rig.running("/p")
    child = rig.add("/c", depends_on=(grant.task_id,))
    return batch_of(child_of(child)), batch_of(lost(grant))


def children_created_in_each_others_order(rig: Rig) -> Batches:
    one, other = rig.running("/p"), rig.running("/q")
    return (
        batch_of(child_of(other.task_id), done(one)),
        batch_of(enqueue(new_task("/d", depends_on=(one.task_id,))), done(other)),
    )


def same_key(rig: Rig) -> Batches:
    op = enqueue(new_task("/a", key="k", key_hash="h"))
    return batch_of(op), batch_of(op)


def same_key_other_body(rig: Rig) -> Batches:
    return (
        batch_of(enqueue(new_task("/a", key="k", key_hash="h"))),
        batch_of(enqueue(new_task("/a", key="k", key_hash="other"))),
    )


def same_keys_crossed(rig: Rig) -> Batches:
    first, second = (new_task("/a", key=key, key_hash="h") for key in "kl")
    return batch_of(enqueue(first), enqueue(second)), batch_of(enqueue(second), enqueue(first))


def key_of_a_pruned_task(rig: Rig) -> Batches:
    op = enqueue(new_task("/a", key="k", key_hash="h"))
    rig.do(op)
    rig.do(done(rig.take("/a")))
    return batch_of(op), batch_of(PRUNE)


def same_poll(rig: Rig) -> Batches:
    rig.add("/a")
    rig.add("/b")
    op = claim(interest("/a", "/b"), poll_id="p")
    return batch_of(op), batch_of(op)


def one_task_two_workers(rig: Rig) -> Batches:
    rig.add("/a")
    return batch_of(claim(worker="w1")), batch_of(claim(worker="w2"))


def one_request_two_workers(rig: Rig) -> Batches:
    rig.add("/a", kind="http")
    return batch_of(claim(worker="w1")), batch_of(claim(worker="w2"))


def exclusive_above_shared(rig: Rig) -> Batches:
    rig.add("/a", exclusive=True)
    rig.add("/a/b")
    return batch_of(claim(interest("/a"), "w1")), batch_of(claim(interest("/a/b"), "w2"))


def exclusive_meets_exclusive(rig: Rig) -> Batches:
    rig.add("/a/b")
    rig.add("/a/b/c", host="h")
    return batch_of(claim(interest("/a/b", exclusive=True), "w1")), batch_of(claim(interest("/a/b/c", host="h"), "w2"))


def shared_beside_shared(rig: Rig) -> Batches:
    rig.add("/a")
    rig.add("/a/b")
    return batch_of(claim(interest("/a"), "w1")), batch_of(claim(interest("/a/b"), "w2"))


def claimed_and_cancelled(rig: Rig) -> Batches:
    return batch_of(claim()), batch_of(ops.Cancel(task_id=rig.add("/a")))


def claimed_and_deleted(rig: Rig) -> Batches:
    return batch_of(claim()), batch_of(ops.Delete(task_id=rig.add("/a")))


def claimed_and_moved(rig: Rig) -> Batches:
    return batch_of(claim()), batch_of(ops.Update(task_id=rig.add("/a"), path="/b"))


def claimed_and_made_exclusive(rig: Rig) -> Batches:
    rig.add("/a/b")
    rig.take("/a/b")
    return batch_of(claim()), batch_of(ops.Update(task_id=rig.add("/a"), exclusive=True))


def claimed_and_executed(rig: Rig) -> Batches:
    task_id = rig.add("/a")
    # The other batch holds the row and then waits for claims, the claim waits for the row.
    return batch_of(claim()), batch_of(ops.Execute(task_id=task_id), claim(interest("/b")))


def claimed_and_paused(rig: Rig) -> Batches:
    rig.add("/a/b")
    return batch_of(claim(interest("/a/b"))), batch_of(ops.SetDirectory(path="/a", paused=True))


def claimed_under_a_limit(rig: Rig) -> Batches:
    rig.add("/a/b")
    rig.add("/a/c")
    rig.do(ops.SetDirectory(path="/a", max_running=1))
    return batch_of(claim(interest("/a/b"), "w1")), batch_of(claim(interest("/a/c"), "w2"))


def settings_of_one_directory(rig: Rig) -> Batches:
    rig.add("/a")
    return batch_of(ops.SetDirectory(path="/a", paused=True)), batch_of(ops.SetDirectory(path="/a", max_running=1))


def completed_and_next_claimed(rig: Rig) -> Batches:
    rig.add("/a", exclusive=True)
    grant = rig.take("/a")
    rig.add("/a", exclusive=True)
    return batch_of(done(grant)), batch_of(claim(worker="w2"))


def created_apart(_: Rig) -> Batches:
    return batch_of(enqueue(new_task("/a"))), batch_of(enqueue(new_task("/b", priority=3)))


def completed_twice(rig: Rig) -> Batches:
    grant = rig.running("/a")
    return batch_of(done(grant)), batch_of(done(grant))


def completed_and_failed(rig: Rig) -> Batches:
    grant = rig.running("/a")
    return batch_of(done(grant)), batch_of(lost(grant))


def completed_and_cancelled(rig: Rig) -> Batches:
    grant = rig.running("/a")
    return batch_of(done(grant)), batch_of(ops.Cancel(task_id=grant.task_id))


def beaten_and_expired(rig: Rig) -> Batches:
    grant = rig.running("/a")
    rig.time.pass_(HOUR // 2)
    return batch_of(beat(grant)), batch_of(EXPIRE)


def completed_and_expired(rig: Rig) -> Batches:
    grant = rig.running("/a")
    rig.time.pass_(HOUR // 2)
    return batch_of(done(grant)), batch_of(EXPIRE)


def expired_and_claimed_again(rig: Rig) -> Batches:
    rig.running("/a", backoff='{"base_seconds": 0}')
    rig.time.pass_(HOUR // 2)
    return batch_of(EXPIRE, claim(worker="w2")), batch_of(EXPIRE, claim(worker="w3"))


def promoted_twice(rig: Rig) -> Batches:
    rig.add("/a", delay_ms=10)
    rig.add("/b", delay_ms=10)
    rig.time.pass_(1_000)
    return batch_of(PROMOTE), batch_of(PROMOTE)


def promoted_and_cancelled(rig: Rig) -> Batches:
    task_id = rig.add("/a", delay_ms=10)
    rig.time.pass_(1_000)
    return batch_of(PROMOTE), batch_of(ops.Cancel(task_id=task_id))


def pruned_twice(rig: Rig) -> Batches:
    rig.do(done(rig.running("/a")))
    return batch_of(PRUNE), batch_of(PRUNE)


def pruned_and_retried(rig: Rig) -> Batches:
    grant = rig.running("/a")
    rig.do(done(grant))
    return batch_of(PRUNE), batch_of(ops.Retry(task_id=grant.task_id))


def undelivered_and_beaten(rig: Rig) -> Batches:
    grant = rig.running("/a")
    op = ops.Undeliver(task_id=grant.task_id, lease=grant.lease, delivery_no=grant.delivery_no)
    return batch_of(op), batch_of(beat(grant))


def lines_of_one_lease(rig: Rig) -> Batches:
    grant = rig.running("/a")
    op = ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=(LINE, LINE), first_line=1)
    return batch_of(op), batch_of(op)


def lines_and_the_end(rig: Rig) -> Batches:
    grant = rig.running("/a")
    return batch_of(ops.AppendLogs(task_id=grant.task_id, lease=grant.lease, lines=(LINE,))), batch_of(done(grant))


def answered_twice(rig: Rig) -> Batches:
    grant = rig.running("/a")
    rig.do(ops.Park(task_id=grant.task_id, lease=grant.lease, hold="question"))
    one, other = (ops.Answer(task_id=grant.task_id, answer=text) for text in ('"x"', '"y"'))
    return batch_of(one), batch_of(other)


def shifted_twice(rig: Rig) -> Batches:
    rig.running("/a")
    rig.time.pass_(HOUR)
    shift = ops.Submission(ops.Shift(by_ms=HOUR), SYSTEM)
    tick = ops.Submission(ops.Tick(), SYSTEM)
    return batch_of(shift, tick), batch_of(shift, tick)


def key_named(id: str) -> ops.IssueKey:
    return ops.IssueKey(credential=Credential(id=id, name="ci", digest=id, scopes=("work",)))


SESSION = Credential(id="s", name="", digest="s", scopes=())
SIGN_IN = ops.Submission(ops.OpenSession(credential=SESSION), Principal("k", ALL_SCOPES))


def keys_of_one_name(_: Rig) -> Batches:
    return batch_of(key_named("k")), batch_of(key_named("l"))


def key_changed_twice(rig: Rig) -> Batches:
    rig.do(key_named("k"))
    return batch_of(ops.ChangeKey(id="k", rate="1/s")), batch_of(ops.ChangeKey(id="k", name="cd", disabled=True))


def key_revoked_and_session_opened(rig: Rig) -> Batches:
    rig.do(key_named("k"))
    return batch_of(ops.RevokeKey(id="k")), batch_of(SIGN_IN)


def key_revoked_and_name_taken(rig: Rig) -> Batches:
    rig.do(key_named("k"))
    return batch_of(ops.RevokeKey(id="k")), batch_of(key_named("l"))


def address_listed_and_taken_off(_: Rig) -> Batches:
    entry = Entry(list="deny", network="::1/128")
    return batch_of(ops.SetAddress(entry=entry)), batch_of(ops.SetAddress(entry=entry, listed=False))


PAIRS: Mapping[str, Callable[[Rig], Batches]] = MappingProxyType({
    make.__name__: make
    for make in (
        parents_complete, parent_completes_parent_fails, parent_retried_parent_fails, both_parents_retried,
        child_retried_parent_fails, child_cancelled_parent_completes, child_deleted_parent_completes,
        child_moved_parent_completes, child_created_parent_completes, child_created_parent_fails, child_created_parent_expires,
        child_created_parent_cancelled, child_created_parent_deleted, child_created_parent_retried, child_created_parent_pruned,
        grandchild_created_parent_fails, children_created_in_each_others_order,
        same_key, same_key_other_body, same_keys_crossed, key_of_a_pruned_task, same_poll, one_task_two_workers,
        one_request_two_workers,
        exclusive_above_shared, exclusive_meets_exclusive, shared_beside_shared, claimed_and_cancelled, claimed_and_deleted,
        claimed_and_moved, claimed_and_made_exclusive, claimed_and_executed, claimed_and_paused, claimed_under_a_limit,
        settings_of_one_directory, completed_and_next_claimed, created_apart, completed_twice, completed_and_failed,
        completed_and_cancelled,
        beaten_and_expired, completed_and_expired, expired_and_claimed_again, promoted_twice, promoted_and_cancelled,
        pruned_twice, pruned_and_retried, undelivered_and_beaten, lines_of_one_lease, lines_and_the_end, answered_twice,
        shifted_twice, keys_of_one_name, key_changed_twice, key_revoked_and_session_opened, key_revoked_and_name_taken,
        address_listed_and_taken_off,
    )
})  # fmt: skip
