"""How requests begin, and in which order those are sent that begin alike."""

from itertools import pairwise

from batchroute.routing.prefixes import BESIDE, LEAST_TOKENS, Beginnings, beginnings, sequel

MANUAL = " ".join(f"Article {number} says what to do about pumps." for number in range(400))
"""Some 4,000 tokens."""
FAR = 1000


def begun(text: str) -> Beginnings:
    return beginnings(f'[{{"role":"user","content":"{text}"}}]'.encode())


class TestBeginnings:
    def test_short_request_has_none(self) -> None:
        assert begun("What is a pump?") == ()
        assert begun("word " * (LEAST_TOKENS // 4)) == ()

    def test_what_comes_after_a_long_beginning_is_no_matter_to_it(self) -> None:
        one, other = begun(MANUAL + " And why?"), begun(MANUAL + " When, then? Tell me all about it.")

        assert one
        assert one == other

    def test_request_that_goes_on_alike_for_longer_has_more_in_common(self) -> None:
        half = len(MANUAL) // 2
        one, other = begun(MANUAL), begun(MANUAL[:half] + MANUAL[half:].upper())
        alike = [a == b for a, b in zip(one, other, strict=False)]

        assert alike[0]
        assert not alike[-1]
        assert alike == sorted(alike, reverse=True)

    def test_requests_that_differ_at_once_have_nothing_in_common(self) -> None:
        assert not set(begun("A" + MANUAL)) & set(begun("B" + MANUAL))

    def test_text_in_a_dense_script_is_long_enough_with_fewer_bytes(self) -> None:
        assert begun("泵" * 1500)  # 4,500 bytes of 1,300 tokens
        assert not begun("pump " * 900)  # as many bytes of fewer


class TestSequel:
    def test_batch_in_which_nothing_is_shared_is_left_alone(self) -> None:
        assert sequel([(), (1,), (2, 3), ()], FAR) is None

    def test_those_that_begin_alike_follow_one_another_behind_the_first(self) -> None:
        found = sequel([(1,), (2,), (1,), (2,), (1,)], apart=2)

        assert found is not None
        assert found.places == [0, 1, 2, 3, 4]
        assert found.prefixes == [1, 2, 1, 2, 1]

    def test_only_a_few_groups_are_sent_side_by_side(self) -> None:
        groups = 3 * BESIDE
        found = sequel([(number % groups,) for number in range(10 * groups)], apart=groups)

        assert found is not None
        where = {place: at for at, place in enumerate(found.places)}
        for group in range(groups):
            at = [where[place] for place in range(group, 10 * groups, groups)]
            assert at[1] - at[0] >= groups
            assert all(later - earlier <= BESIDE for earlier, later in pairwise(at[1:]))

    def test_others_come_between_the_first_and_those_that_follow_it(self) -> None:
        found = sequel([(1,), (1,), (), (), (), ()], apart=3)

        assert found is not None
        assert found.places == [0, 2, 3, 1, 4, 5]

    def test_without_others_they_follow_at_once(self) -> None:
        found = sequel([(1,), (1,), (1,)], FAR)

        assert found is not None
        assert found.places == [0, 1, 2]

    def test_longest_beginning_that_another_one_has_counts(self) -> None:
        found = sequel([(1, 2), (1, 3), (1, 2), (1, 3), (1, 4)], FAR)

        assert found is not None
        assert found.prefixes == [2, 3, 2, 3, 1]

    def test_groups_that_begin_alike_stand_beside_one_another(self) -> None:
        found = sequel([(1, 2), (8, 9), (1, 3), (8, 9), (1, 2), (1, 3)], apart=1)

        assert found is not None
        assert found.places == [0, 4, 2, 5, 1, 3]  # one group beside the other from the second one on

    def test_every_place_comes_once(self) -> None:
        found = sequel([(number % 7,) if number % 3 else () for number in range(100)], apart=10)

        assert found is not None
        assert sorted(found.places) == list(range(100))
