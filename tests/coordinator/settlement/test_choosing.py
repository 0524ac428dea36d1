"""Groups: everything once, no more than fits, one provider together, and the bad ones found by halving."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.settlement.choosing import Candidate, grouped
from coordinator.store.index_words import Due

candidates = st.lists(
    st.builds(
        Candidate,
        transaction_id=st.uuids().map(str),
        kind=st.sampled_from(Due),
        payee=st.sampled_from("abcdef"),
        due_at=st.integers(0, 100),
        attempts=st.integers(0, 9),
    ),
    unique_by=lambda one: one.transaction_id,
    max_size=200,
)


@given(candidates, st.integers(1, 100))
def test_every_candidate_is_in_one_group_that_is_not_too_large(found: list[Candidate], batch: int) -> None:
    groups = grouped(found, batch)
    members = [one for group in groups for one in group.members]
    assert sorted(members, key=str) == sorted(found, key=str)
    for group in groups:
        assert {one.kind for one in group.members} == {group.kind}
        assert len({one.attempts for one in group.members}) == 1
        size = max(1, batch >> group.members[0].attempts) if group.kind is Due.SETTLE else 1
        assert 1 <= len(group.members) <= size


@given(st.integers(2, 100))
def test_one_bad_escrow_is_alone_after_as_many_failures_as_the_batch_can_be_halved(batch: int) -> None:
    bad = Candidate("bad", Due.SETTLE, "a", 0)
    others = [Candidate(str(index), Due.SETTLE, "a", 0) for index in range(batch - 1)]
    rounds = 0
    while True:
        (mine,) = (group for group in grouped([bad, *others], batch) if bad in group.members)
        if len(mine.members) == 1:
            break
        rounds += 1
        failed = set(mine.ids)
        bad = Candidate("bad", Due.SETTLE, "a", 0, bad.attempts + 1)
        # Those in other groups are settled.
        others = [
            Candidate(one.transaction_id, Due.SETTLE, "a", 0, one.attempts + 1)
            for one in others
            if one.transaction_id in failed
        ]
    assert rounds <= batch.bit_length() - 1


def test_a_provider_is_paid_in_as_few_batches_as_its_escrows_fill() -> None:
    found = [Candidate(f"{payee}{index}", Due.SETTLE, payee, 0) for index in range(60) for payee in "ab"]
    found += [Candidate(f"c{index}", Due.SETTLE, "c", 0) for index in range(25)]
    groups = grouped(found, 50)
    payees = [{one.payee for one in group.members} for group in groups]
    assert len(groups) == 3
    assert payees.count({"a"}) == payees.count({"b"}) == 1
