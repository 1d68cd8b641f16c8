"""What the host does with bytes from a worker that has been taken over: refuse them, end it, stay small, go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_core.repl import ReplLimits, WorkerPool, protocol
from rlm_core.repl.protocol import ProtocolError
from tests.sandbox.driving import Cells

HOSTILE = Path(__file__).parent / "breach" / "hostile.py"

ENDED = {
    "a length of four gigabytes": "send(b'\\x13' + b'\\xff' * 8)",
    "garbage": "send(b'garbage on the pipe, quite a lot of it' * 100)",
    "an unknown kind": "frame(99, b'{}')",
    "a kind the host sends": "frame(protocol.RUN, b'{\"texts\": []}')",
    "a pickle": "frame(protocol.RESULT, b'\\x80\\x04cos\\nsystem\\n')",
    "a header that is a list": "frame(protocol.RESULT, b'[]')",
    "no lengths": "frame(protocol.RESULT, b'{}')",
    "lengths that do not add up": "frame(protocol.RESULT, b'{\"texts\": [5]}', b'abc')",
    "negative lengths": "frame(protocol.RESULT, b'{\"texts\": [-1, 4]}', b'abc')",
    "a key twice": 'frame(protocol.RESULT, b\'{"texts": [], "id": 1, "id": 2}\')',
    "NaN": 'frame(protocol.RESULT, b\'{"texts": [], "id": NaN}\')',
    "a number of 5,000 digits": "frame(protocol.RESULT, b'{\"texts\": [], \"id\": ' + b'9' * 5000 + b'}')",
    "deep nesting": "frame(protocol.RESULT, b'[' * 100000)",
    "invalid UTF-8": "frame(protocol.RESULT, b'{\"texts\": [2]}', b'\\xff\\xfe')",
    "a result of another cell": "result('0123')",
    "a result without its id": "result(None)",
    "a result with too few texts": "result(cell, texts=[b''])",
    "names that are not texts": "result(cell, names=[1])",
    "too many names": "result(cell, names=['x'] * 501)",
    "a negative count": "result(cell, hidden=-1)",
    "a count that is no number": "result(cell, hidden='many')",
    "flags that are no flags": "result(cell, final='yes')",
    "a snapshot that is too large": "result(cell, values=['a', 'b', 'c'], texts=[b''] * 6 + [b'x' * 4_000_000] * 3)",
    "an unknown function": "channel.send(protocol.CALL, {'fn': 'nothing', 'args': [], 'kwargs': []})",
    "a dunder as function": "channel.send(protocol.CALL, {'fn': '__class__', 'args': [], 'kwargs': []})",
    "a function that is no text": "channel.send(protocol.CALL, {'fn': ['f'], 'args': [], 'kwargs': []})",
    "arguments that are no list": "channel.send(protocol.CALL, {'fn': 'f', 'args': {}, 'kwargs': []})",
    "a text that is not there": "channel.send(protocol.CALL, {'fn': 'f', 'args': [{'t': 7}], 'kwargs': []})",
    "a value that is no value": "channel.send(protocol.CALL, {'fn': 'f', 'args': [{'x': 7}], 'kwargs': []})",
    "a dict with an odd number of parts": "channel.send(protocol.CALL, {'fn': 'f', 'args': [{'d': [1]}], 'kwargs': []})",
    "an infinite number": 'frame(protocol.CALL, b\'{"texts": [], "fn": "f", "args": [1e999], "kwargs": []}\')',
    "keywords that are no pairs": "channel.send(protocol.CALL, {'fn': 'f', 'args': [], 'kwargs': [[1]]})",
    "many empty lists": 'frame(protocol.CALL, b\'{"texts": [], "fn": "f", "kwargs": [], "args": [\' + b\'[],\' * 80000 + b\'[]]}\')',
    "a prompt of 100 MB": "frame(protocol.CALL, b'{}', b'x' * 100_000_000)",
    "ready again": "channel.send(protocol.READY, {'layers': {}})",
    "done out of turn": "channel.send(protocol.DONE, {})",
    "calls beyond the budget": "for i in range(100): channel.send(protocol.CALL, {'fn': 'f', 'args': [], 'kwargs': []})",
    "the end of the process": "os._exit(3)",
}


@pytest.fixture(scope="module")
def taken() -> Iterator[Cells]:
    pool = WorkerPool(HOSTILE)
    limits = ReplLimits(seconds=0.4, grace_seconds=0.2, calls_per_cell=20)
    with Cells("text", pool=pool, limits=limits, functions={"f": lambda *args: len(args)}) as cells:
        yield cells
        cells.do(pool.close())


@pytest.mark.parametrize("name", ENDED)
def test_the_host_ends_a_worker_that_sends(taken: Cells, name: str) -> None:
    result = taken.run(ENDED[name])
    assert result.restarted
    assert result.final is None
    assert result.error
    assert taken.run("result(cell, texts=[b'fine'] + [b''] * 5)").output == "fine"


@pytest.mark.parametrize(
    "code",
    [
        "send(b'\\x13\\x00\\x00\\x00\\x10\\x00')\nimport time\ntime.sleep(60)",  # a frame that is never finished
        "import time\ntime.sleep(60)",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    ],
)
def test_silence_ends_at_the_time_limit(taken: Cells, code: str) -> None:
    result = taken.run(code)
    assert result.restarted
    assert taken.run("result(cell)").error is None


def test_two_results_for_one_cell_do_not_answer_the_next_cell(taken: Cells) -> None:
    taken.run("result(cell)\nresult(cell, final=True, texts=[b'', b'', b'', b'stolen', b'', b''])")
    result = taken.run("result(cell)")
    assert result.final is None
    assert result.restarted


def test_a_result_while_a_call_is_open_is_the_end_of_the_cell_only(taken: Cells) -> None:
    result = taken.run("channel.send(protocol.CALL, {'fn': 'f', 'args': [], 'kwargs': []})\nresult(cell)")
    assert result.final is None
    taken.run("result(cell)")
    assert taken.run("result(cell, texts=[b'fine'] + [b''] * 5)").output == "fine"


@pytest.mark.alone
def test_the_hosts_memory_stays_small_under_hostile_frames(taken: Cells) -> None:
    process = psutil.Process()
    taken.run("result(cell)")
    before = process.memory_info().rss
    for code in (
        "for i in range(10**6): frame(protocol.RESULT, b'{')",
        "while True: send(b'\\x13' + (250000).to_bytes(4, 'big') + b'\\x00' * 4 + b'[' + b'[],' * 83332 + b'[]]')",
        "while True: send(b'x' * 10**6)",
        "send(protocol.PREFIX.pack(protocol.RESULT, 100, 16 * 1024 * 1024) + b' ' * 10**6)\nwhile True: pass",
        "for i in range(1000): channel.send(protocol.CALL, {'fn': 'f', 'args': [{'t': 0}], 'kwargs': []}, [b'x' * 8_000_000])",
    ):
        taken.run(code)
        assert process.memory_info().rss - before < 32 * 1024 * 1024, code


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_values_survive_the_way_there_and_back(value: object) -> None:
    texts: list[bytes] = []
    node = protocol.encode_value(value, texts)
    kind, head, body = _split(b"".join(protocol.encode_frame(protocol.CALL, {"value": node}, texts)))
    frame = protocol.decode_frame(kind, head, body, trusted=False)
    assert protocol.decode_value(frame.header["value"], frame.texts) == value


@given(st.binary(max_size=300), st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_frame_or_a_protocol_error(head: bytes, body: bytes) -> None:
    try:
        protocol.decode_frame(protocol.RESULT, head, body, trusted=False)
    except ProtocolError:
        return


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("tdx"), inner, max_size=2),
    max_leaves=15,
)


@given(json_like)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_node_decodes_to_plain_values_or_is_a_protocol_error(node: object) -> None:
    try:
        value = protocol.decode_value(node, ("one", "two"))
    except ProtocolError:
        return
    protocol.encode_value(value, [])


def _split(data: bytes) -> tuple[int, bytes, bytes]:
    kind, head, body = protocol.PREFIX.unpack(data[: protocol.PREFIX.size])
    rest = data[protocol.PREFIX.size :]
    assert len(rest) == head + body
    return kind, rest[:head], rest[head:]
