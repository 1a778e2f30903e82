"""Presenter and audience: whoever changes the library asks the gate, the key opens it, and nothing else does."""

import ast
import hmac
import inspect
import json
import logging
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from conftest import REPOSITORY
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from test_pages import made

from engine import branches, contenders, gate, library, runs, store, transfer, trash
from engine.contenders import Contender
from engine.errors import RightsError
from engine.spec import RunSpec
from engine.steering import Change
from engine.supervisor import Worker
from ui import rights, sign_in
from ui.probes import Probes

KEY = "correct horse battery"
REFUSED = "Not you."
MODULES = (runs, trash, transfer, library, branches, contenders)

# -- who asks --------------------------------------------------------------------------------------

#: What writes into a library: names of functions and methods. Path.replace has one argument, str's two.
WRITES = {"Writer", "unlink", "touch", "rename", "rmtree", "copyfile", "move"}
WRITES |= {"write_bytes", "write_text", "create", "create_as", "enqueue", "plan", "end_open"}
#: What the server does by itself, asked by nobody, and why it may.
OWN_WORK = {
    "runs.claim": "a worker says that it is the one that trains a run",
    "runs.next_queued": "the supervisor takes the oldest from the queue",
    "runs.end_open": "a run that its worker left open is ended",
    "runs.end_lost": "a run whose worker was killed is ended",
    "trash.purge_all": "what was deleted goes for good after a day, and when the server starts",
    "transfer.clean": "what a killed server left half made goes when the next one starts",
}
DO_BY_OTHERS = {"branches.again": "runs.start"}  # only by a function that asks


def calls_of(function):
    """Names of what a function calls, and whether it moves a file over another."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            is_move = name == "replace" and isinstance(called, ast.Attribute)
            yield "rename" if is_move and len(node.args) == 1 and not node.keywords else name


def writing_functions(module):
    """The public functions of a module that write, by themselves or by private ones of the module."""
    tree = ast.parse(inspect.getsource(module))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def writes(name, seen):
        called = set(calls_of(functions[name]))
        private = {one for one in called & functions.keys() if one[0] == "_"} - seen
        return bool(called & WRITES) or any(writes(one, seen | private) for one in private)

    short = module.__name__.removeprefix("engine.")
    return {f"{short}.{name}" for name in functions if name[0] != "_" and writes(name, {name})}


def test_every_function_that_changes_the_library_asks_the_gate_or_is_the_server_s_own_work():
    writing = set().union(*map(writing_functions, MODULES))
    assert {"runs.delete", "trash.restore", "transfer.imported", "runs.end_lost"} <= writing
    asking = set(gate.GATED)
    assert writing - asking - OWN_WORK.keys() == set(), "these write and do not ask"
    assert OWN_WORK.keys() <= writing - asking, "these no longer write, or ask"
    assert len(asking) == len(gate.GATED), "no function asks twice"


def test_what_changes_the_library_by_another_function_does_it_by_one_that_asks():
    tree = ast.parse(inspect.getsource(branches))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, by in DO_BY_OTHERS.items():
        assert by.partition(".")[2] in calls_of(functions[name.partition(".")[2]])
        assert by in gate.GATED


# -- what a refusal leaves -------------------------------------------------------------------------

SPEC = RunSpec(depth=2, width=8, epochs=1)
CHANGE = Change(kind="set", fields={"learning_rate": 0.5})


class Place:
    """A library with a finished run, one that trains, one that waits, and a deleted one."""

    def __init__(self):
        self.finished = made(store.FINISHED, SPEC, step=20)
        self.training = made(store.RUNNING, SPEC, step=5)
        self.waiting = runs.start(SPEC)
        self.deleted = made(store.FINISHED, SPEC)
        trash.throw(self.deleted)
        self.file = transfer.exported(self.finished)


def everything(home):
    """File -> its bytes, of a whole folder. What reading leaves beside a run's file is no change."""
    found = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    told = {str(path): data for path, data in found.items() if path.name[-4:] != "-shm"}
    return {name: data for name, data in told.items() if data or name[-4:] != "-wal"}


CALLS = {
    "runs.create": lambda at: runs.create(SPEC),
    "runs.create_as": lambda at: runs.create_as(runs.new_id(), SPEC),
    "runs.start": lambda at: runs.start(SPEC, changes=[(3, CHANGE)]),
    "runs.enqueue": lambda at: runs.enqueue(at.finished, time.time_ns()),
    "runs.send": lambda at: runs.send(at.training, "stop"),
    "runs.change": lambda at: runs.change(at.training, CHANGE),
    "runs.plan": lambda at: runs.plan(runs.path(at.training), [(9, CHANGE)]),
    "runs.delete": lambda at: runs.delete(at.waiting),
    "trash.throw": lambda at: trash.throw(at.finished),
    "trash.restore": lambda at: trash.restore(at.deleted),
    "trash.purge": lambda at: trash.purge([at.deleted]),
    "transfer.imported": lambda at: transfer.imported(at.file),
    "library.describe": lambda at: library.describe(at.finished, title="Another", starred=True),
    "branches.branch": lambda at: branches.branch(at.finished, 4, [CHANGE]),
    "contenders.start": lambda at: contenders.start([Contender(title="One", spec=SPEC)]),
}


def test_every_function_that_asks_is_tried():
    assert CALLS.keys() == set(gate.GATED)


@pytest.mark.parametrize("name", CALLS)
def test_with_a_guard_that_refuses_nothing_changes_on_disk_and_without_it_something_does(
    name, home, monkeypatch
):
    place = Place()
    before = everything(home)
    with monkeypatch.context() as guarded:
        guarded.setattr(gate, "_GUARDS", [lambda: REFUSED])
        with pytest.raises(RightsError, match=re.escape(REFUSED)):
            CALLS[name](place)
    assert everything(home) == before
    CALLS[name](place)
    assert everything(home) != before


def test_running_again_asks_too_and_the_server_s_own_work_does_not(home, monkeypatch):
    place = Place()
    monkeypatch.setattr(gate, "_GUARDS", [lambda: REFUSED])
    before = everything(home)
    with pytest.raises(RightsError):
        branches.again(place.finished)
    assert everything(home) == before
    assert runs.next_queued() == runs.path(place.waiting)
    runs.end_open(runs.path(place.waiting), store.STOPPED, "Over.")
    trash.purge_all()
    assert runs.info(place.waiting).status == store.STOPPED


# -- the key and the cookie ------------------------------------------------------------------------


@pytest.fixture
def key(monkeypatch):
    """A presenter's key that is set."""
    monkeypatch.setenv(rights.KEY, KEY)
    return KEY


def test_without_a_key_everybody_is_presenter(monkeypatch):
    monkeypatch.delenv(rights.KEY, raising=False)
    assert rights.may_change({})
    assert not rights.is_key("")
    assert not rights.is_key(KEY)


def test_a_token_holds_for_its_time_and_only_with_the_key_that_signed_it(key, monkeypatch):
    token = rights.token(now=1000.0)
    assert rights.holds(token, now=1000.0 + rights.LASTS_S - 1)
    assert not rights.holds(token, now=1000.0 + rights.LASTS_S)
    monkeypatch.setenv(rights.KEY, key + "x")
    assert not rights.holds(token, now=1000.0), "a new key signs all out"


def test_no_other_content_of_a_cookie_is_a_token(key):
    token = rights.token()
    until, word, signature = token.split(".")
    longer = f"{int(until) + 60}.{word}.{signature}"
    others = ["", ".", "..", key, until, longer, f"{until}.{signature}", f"{until}.{word}."]
    others += [f"{until}.x{word[1:]}.{signature}", token[:-1], token + "0", token.upper()]
    others += [
        f" {token}",
        f"{token} ",
        f"-{token}",
        "٣" * 10 + token[10:],
        token.replace("1", "１"),
    ]
    others += [f"{until}.{word}.{'é' * 64}", "\ud800" * 5, f"{'9' * 15}.{word}.{signature}"]
    others += [f"{'9' * 400}.{word}.{signature}", "\0" * 300, "." * 5000]
    for told in others:
        assert told != token
        assert not rights.may_change({rights.COOKIE: told}), told[:80]
    assert rights.may_change({rights.COOKIE: token})
    assert not rights.may_change({"other": token})


def test_no_two_tokens_are_the_same_and_one_that_was_ended_holds_no_longer(key):
    one, other = rights.token(), rights.token()
    assert one != other
    rights.end(one)
    assert not rights.holds(one)
    assert rights.holds(other)


def test_only_tokens_that_hold_are_remembered_as_ended_and_those_no_longer_than_they_would(key):
    before = dict(rights._ENDED)
    for told in ("", "nonsense", "1.2.3", rights.token(now=0.0)):
        rights.end(told)
    assert before == rights._ENDED
    old = rights.token(now=time.time() - rights.LASTS_S + 0.2)
    rights._ENDED[old] = int(time.time()) - 1
    rights.end(rights.token())
    assert old not in rights._ENDED


def test_keys_are_compared_in_constant_time_and_by_nothing_that_tells_their_length(
    key, monkeypatch
):
    """By construction: what is compared is 32 bytes of each, by the standard library's own comparison."""
    compared = []
    whole = hmac.compare_digest
    monkeypatch.setattr(
        rights.hmac,
        "compare_digest",
        lambda one, other: compared.append((len(one), len(other))) or whole(one, other),
    )
    said = ["", "x", key[:-1], key + "x", key.upper(), "é" * 500, "\ud800", "x" * 100_000]
    assert not any(map(rights.is_key, said))
    assert rights.is_key(key)
    assert compared == [(32, 32)] * (len(said) + 1)
    tree = ast.parse(inspect.getsource(rights))
    (function,) = (n for n in tree.body if getattr(n, "name", "") == "is_key")
    assert not [node for node in ast.walk(function) if isinstance(node, ast.Compare)]


@pytest.mark.parametrize("said", ["", "   ", "1", "1234567", " 1234567 "])
def test_a_key_that_protects_nothing_is_refused_in_a_sentence_that_does_not_tell_it(
    said, monkeypatch
):
    monkeypatch.setenv(rights.KEY, said)
    with pytest.raises(RightsError, match="at least 8 characters") as refused:
        rights.check_key()
    assert not said.strip() or said.strip() not in str(refused.value).replace("8", "")
    monkeypatch.setenv(rights.KEY, "12345678")
    rights.check_key()
    monkeypatch.delenv(rights.KEY)
    rights.check_key()


def test_the_server_does_not_start_with_such_a_key():
    done = subprocess.run(
        [sys.executable, "-c", "import app"],
        cwd=REPOSITORY,
        env=os.environ | {rights.KEY: "hunter2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"{rights.KEY} is too short")
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_what_no_page_asked_for_is_the_server_s_own(key):
    assert rights.refusal() == ""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(rights.refusal).result() == ""


# -- signing in ------------------------------------------------------------------------------------

HERE = {"origin": "http://testserver"}


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


async def may(request):
    """What the server makes of whoever asks."""
    return JSONResponse(rights.may_change(request.cookies))


async def take(request):
    """Stands for Streamlit's own upload."""
    return JSONResponse(len(await request.body()))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(key, clock):
    """A browser at a server with these routes."""
    inner = [Route("/may", may), Route("/_stcore/upload_file/{a}/{b}", take, methods=["PUT"])]
    app = Starlette(
        routes=[*sign_in.routes(sign_in.Tries(clock)), *inner],
        middleware=[Middleware(sign_in.OnlyPresenterUploads)],
    )
    with TestClient(app) as client:
        yield client


def sign(client, said, **more):
    return client.post("/live/sign-in", json={"key": said}, **({"headers": HERE} | more))


def test_the_key_makes_a_presenter_and_signing_out_ends_that(client, key):
    assert client.get("/may").json() is False
    answer = sign(client, key)
    assert answer.status_code == 200
    assert client.get("/may").json() is True
    kept = client.cookies[rights.COOKIE]
    assert client.post("/live/sign-out", headers=HERE).status_code == 200
    assert rights.COOKIE not in client.cookies
    assert client.get("/may").json() is False
    assert not rights.holds(kept), "a page that is still open is the audience's from now on"


def test_the_cookie_is_kept_from_scripts_from_other_sites_and_where_it_can_from_plain_http(
    client, key
):
    plain = sign(client, key).headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict", f"Max-Age={rights.LASTS_S}"} <= set(
        plain.split("; ")
    )
    assert "Secure" not in plain, "a browser would not send it back over http"
    behind = {"headers": HERE | {"x-forwarded-proto": "https, http"}}
    assert "Secure" in sign(client, key, **behind).headers["set-cookie"].split("; ")


def test_spaces_around_the_key_are_those_of_copying(client, key):
    assert sign(client, f" {key}\n").status_code == 200


@pytest.mark.parametrize("headers", [{}, {"origin": "http://evil.example"}, {"origin": "null"}])
@pytest.mark.parametrize("route", ["sign-in", "sign-out"])
def test_no_other_page_signs_in_or_out(client, key, headers, route):
    sign(client, key)
    answer = client.post(f"/live/{route}", json={"key": key}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert client.get("/may").json() is True


@pytest.mark.parametrize("route", ["sign-in", "sign-out"])
def test_a_link_neither_signs_in_nor_out(client, key, route):
    sign(client, key)
    assert client.get(f"/live/{route}?key={key}", headers=HERE).status_code in (404, 405)
    assert client.get("/may").json() is True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b'"key"', 400),
        (b"[1]", 400),
        (b'{"key": 1}', 400),
        (b'{"key": null}', 400),
        (b'{"key": ["a"]}', 400),
        (b"\xff\xfe", 400),
        (b"[" * 900, 400),
        (b'{"key": ""}', 403),
        (b'{"key": "\\ud800"}', 403),
        (b'{"key": "' + b"x" * 2000 + b'"}', 413),
    ],
)
def test_what_is_not_a_key_is_a_sentence(client, body, status):
    answer = client.post("/live/sign-in", content=body, headers=HERE)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")
    assert "set-cookie" not in answer.headers


def test_a_body_without_end_is_not_read_to_its_end(client):
    sent = []

    def endless():
        for _ in range(10_000):
            sent.append(1)
            yield b"x" * 100

    assert client.post("/live/sign-in", content=endless(), headers=HERE).status_code == 413


def test_ten_wrong_keys_a_minute_and_address_are_tried_and_then_not_even_the_right_one(
    client, key, clock
):
    for number in range(sign_in.MOST_WRONG):
        clock.now += 1
        assert sign(client, f"wrong {number}").status_code == 403
    refused = sign(client, key)
    assert refused.status_code == 429
    seconds = int(re.search(r"try again in (\d+) s\.", refused.json()["error"])[1])
    assert refused.headers["retry-after"] == str(seconds)
    assert client.get("/may").json() is False
    clock.now += seconds - 1.5
    assert sign(client, key).status_code == 429
    clock.now += 1.5
    assert sign(client, key).status_code == 200


def test_right_keys_are_not_counted_and_addresses_stand_for_households(clock):
    tries = sign_in.Tries(clock)
    for _ in range(sign_in.MOST_WRONG):
        tries.note_wrong("10.0.0.1")
        tries.note_wrong("2001:db8:1:2::1")
    for address, waits in {
        "10.0.0.1": True,
        "10.0.0.2": False,
        "::ffff:10.0.0.1": False,
        "2001:db8:1:2:ffff::9": True,
        "2001:db8:1:3::1": False,
        "testclient": False,
        "": False,
    }.items():
        assert bool(tries.wait_s(address)) == waits, address


def test_the_list_of_addresses_is_bounded(clock):
    tries = sign_in.Tries(clock)
    for number in range(3 * sign_in.MOST_ADDRESSES):
        tries.note_wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(tries._wrong) == sign_in.MOST_ADDRESSES


def test_without_a_key_there_is_nothing_to_sign_in_to(client, monkeypatch):
    monkeypatch.delenv(rights.KEY)
    answer = sign(client, KEY)
    assert answer.status_code == 409
    assert answer.json()["error"] == sign_in.NO_KEY


def test_the_key_is_in_no_answer_no_log_line_and_no_header(client, key, caplog):
    caplog.set_level(logging.DEBUG)
    answers = [sign(client, said) for said in (key, key + "x", f"x{key}")]
    answers += [client.post("/live/sign-out", headers=HERE)]
    answers += [client.post("/live/sign-in", content=f'{{"key": "{key}"', headers=HERE)]
    told = json.dumps([[answer.text, dict(answer.headers)] for answer in answers]) + caplog.text
    assert key not in told
    assert key not in rights.token()


# -- uploads ---------------------------------------------------------------------------------------


def test_a_file_is_taken_from_a_presenter_alone(client, key, monkeypatch):
    file = b"x" * 1000
    for path in ("/_stcore/upload_file/a/b", "/_stcore/upload_fil%65/a/b"):
        refused = client.put(path, content=file)
        assert (refused.status_code, refused.json()["error"]) == (403, rights.ONLY_PRESENTER)
    sign(client, key)
    assert client.put("/_stcore/upload_file/a/b", content=file).json() == len(file)
    client.post("/live/sign-out", headers=HERE)
    assert client.put("/_stcore/upload_file/a/b", content=file).status_code == 403
    monkeypatch.delenv(rights.KEY)
    assert client.put("/_stcore/upload_file/a/b", content=file).json() == len(file)


def test_the_server_has_the_routes_and_the_middleware():
    source = (REPOSITORY / "app.py").read_text()
    assert "sign_in.routes()" in source
    assert "sign_in.OnlyPresenterUploads" in source


# -- who else knows the key ------------------------------------------------------------------------


def test_the_processes_that_the_server_starts_are_not_told_the_key(monkeypatch):
    monkeypatch.setenv(rights.KEY, KEY)
    monkeypatch.setenv("VGLAB_HOLDS", "and what else the environment says, they are")
    worker, probes = Worker(), Probes()
    try:
        probes.ask("kernel", RunSpec())
        deadline = time.monotonic() + 20
        while probes.process is None and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in (worker.process, probes.process):
            told = psutil.Process(process.pid).environ()
            assert "VGLAB_HOLDS" in told
            assert KEY not in str(told)
    finally:
        worker.kill()
        probes.stop()
