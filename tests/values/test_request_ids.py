"""Request ids: new ones are never given twice."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from onnxlet.values.request_ids import request_id


def draw(count: int) -> list[str]:
    return [request_id(None) for _ in range(count)]


def test_new_ids_are_hexadecimal_and_never_the_same() -> None:
    ids = draw(1000)
    assert len(set(ids)) == 1000
    assert all(len(each) == 32 and int(each, 16) for each in ids)


def test_a_process_and_its_fork_give_no_id_twice() -> None:
    draw(1)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as child:
        theirs = child.submit(draw, 200).result(60)
    assert set(theirs).isdisjoint(draw(200))
