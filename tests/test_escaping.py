"""What people write stays text wherever it is shown; secrets are nowhere; no text is ever run as code."""

import ast
import json
import logging
import re
import sqlite3

import made_up
import pytest
from conftest import REPOSITORY
from markdown_it import MarkdownIt
from starlette.applications import Starlette
from starlette.testclient import TestClient
from test_export import finished
from test_pages import opened
from test_rules import MODULES

import app as dashboard
from engine import export, library, runs, store
from ui import outcome_rows, rights
from ui.literal import fault, listed, literal

MARK = "zq7"  # in each, so that it is found wherever it stands
HOSTILE = {
    "tag": f"<img src=x onerror=alert('{MARK}')>",
    "script": f"{MARK}</script><script>alert(1)</script>",
    "bold": f"**{MARK}** __{MARK}__ ~~{MARK}~~ `{MARK}`",
    "link": f"[{MARK}](javascript:alert(1)) ![{MARK}](http://evil.example/p.png)",
    "address": f"{MARK} http://evil.example www.evil.example",
    "formula": f"$\\frac{{{MARK}}}{{0}}$ $${MARK}$$",
    "directive": f":red[{MARK}] :violet-badge[{MARK}]",
    "list": f"- {MARK}",
    "heading": f"# {MARK}",
    "number": f"1. {MARK}",
    "quote": f"> {MARK}",
    "table": f"| {MARK} | b |",
    "entity": f"&lt;{MARK}&gt; &amp; \\{MARK}\\",
    "code": f'"""\nimport os; os.system("{MARK}")\n"""',
    "reversed": f"\u202e{MARK}\u2066\u200f",
    "long": f"{MARK} " + "a" * 10_000,
}


# -- Markdown --------------------------------------------------------------------------------------

READER = MarkdownIt("gfm-like", {"linkify": False}).enable(["table", "strikethrough"])


def shown(markdown):
    """What a reader of Markdown shows, and which elements it makes, beside paragraphs."""
    kinds, words = set(), []
    for token in READER.parse(markdown):
        kinds |= {token.type} - {"paragraph_open", "paragraph_close", "inline"}
        for part in token.children or ():
            kinds |= {part.type} - {"text", "text_special"}
            words.append(part.content)
    return "".join(words), kinds


@pytest.mark.parametrize("name", HOSTILE)
def test_a_reader_of_markdown_shows_a_text_sign_by_sign(name):
    words, kinds = shown(literal(HOSTILE[name]))
    assert kinds == set()
    assert words.replace("\u2060", "") == " ".join(HOSTILE[name].split())


def test_what_streamlit_adds_to_markdown_is_stopped_too():
    """Formulas between dollars, colours and badges as :red[...], addresses that become links alone."""
    for text in HOSTILE.values():
        told = literal(text)
        assert not re.search(r"(?<!\\)\$", told)
        assert not re.search(r"(?<!\\)\[", told)
        assert not re.search(r"https?://|www\.", told)


def test_a_list_and_a_fault_show_their_sentences_and_nothing_else():
    words, kinds = shown(listed(HOSTILE.values()))
    assert kinds == {
        "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"
    }  # fmt: skip
    assert words.count(MARK) == sum(text.count(MARK) for text in HOSTILE.values())
    assert fault("] **x**") == ":red[:material/error: \\] \\*\\*x\\*\\*]"
    assert literal("batch_size is 0; it must be from 1 to 60000.") == (
        "batch_size is 0; it must be from 1 to 60000."
    )


# -- the pages -------------------------------------------------------------------------------------


def described(run, text):
    """Write into a run's file what no page would: as it stands."""
    with store.Writer(runs.path(run)) as writer:
        writer.update(title=text, note=text, tags=json.dumps([text]), sentence=f"{text}.")
    return run


def set_in_markdown(page):
    """Every text of a page that Streamlit sets as Markdown or takes as HTML."""
    kinds = (
        page.markdown, page.caption, page.info, page.warning, page.error, page.success,
        page.title, page.header, page.subheader,
    )  # fmt: skip
    yield from (one.value for kind in kinds for one in kind)
    for kind in (page.button, page.checkbox, page.toggle, page.expander, page.selectbox):
        yield from (one.label for one in kind)
    yield from (one.proto.body for one in page.get("html"))


#: Several in one, as a page is slow to open, and what of each would be set if it came through as it is.
TEXT = " ".join(HOSTILE[name] for name in ("tag", "bold", "link", "formula"))
PARTS = [part.replace("zq7", MARK) for part in (
    "alert('zq7')>", "**zq7**", "__zq7__", "~~zq7~~", "`zq7`", "[zq7]", "$$zq7$$"
)]  # fmt: skip


def check_page(page):
    """That no part of TEXT stands in it as it is: where it is shown, it is written so that it stays text."""
    assert not page.exception
    for told in set_in_markdown(page):
        for part in PARTS:
            assert part not in told, told


def test_names_notes_and_tags_stay_text_on_every_page():
    items = [made_up.record(0, made_up.dying(8)), made_up.epoch_end(1, 22)]
    one, two = (described(finished(items, seed=seed), TEXT) for seed in (1, 2))
    with store.Writer(runs.path(two)) as writer:
        writer.update(status=store.FAILED, starred=1)  # whose sentence is shown as the file has it
    for page in (
        opened("lab.py", run=one),
        opened("lab.py", run=two),
        opened("compare.py", runs=f"{one},{two}"),
        opened("compare.py", runs=one),
        opened("theory.py", run=one),
        opened("lessons.py"),
        opened("runs.py"),
    ):
        check_page(page)


def test_what_a_link_names_stays_text_on_every_page():
    for page in (
        opened("lab.py", run=TEXT, depth=TEXT, layer=TEXT, **{"nonsense": TEXT}),
        opened("compare.py", runs=TEXT, new=TEXT, show=TEXT, ladder=TEXT),
        opened("theory.py", run=TEXT, depth=TEXT),
        opened("lessons.py", chapter=TEXT, stage=TEXT),
        opened("runs.py", find=TEXT, in_status=TEXT),
    ):
        check_page(page)


@pytest.mark.parametrize("refused", [True, False])
def test_what_comes_of_a_press_stays_text(refused):
    page = opened("runs.py")
    page.session_state["library_said"] = (TEXT, refused)
    page.run()
    assert any(MARK in told for told in set_in_markdown(page))
    check_page(page)


def test_no_page_is_allowed_to_show_html_as_markdown():
    for path in MODULES:
        assert "unsafe_allow_html" not in (REPOSITORY / path).read_text(), path


# -- what is taken home ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_runs_nothing_in_an_exported_script_or_notebook(name):
    run = described(finished(), HOSTILE[name])
    script = export.whole(run, "script").decode()
    notebook = json.loads(export.whole(run, "notebook"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    harmless = export.whole(described(finished(), "A name"), "script").decode()
    for code in (script, *cells):
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Call)
        }
        assert "os.system" not in calls
        assert "alert" not in calls
    assert len(list(ast.walk(ast.parse(script)))) == len(list(ast.walk(ast.parse(harmless))))


@pytest.mark.parametrize("form", export.FORMS)
def test_every_form_of_export_takes_every_name(form):
    if form == "tensorboard" and not export.tensorboard_is_here():
        pytest.skip("TensorBoard is not installed")
    items = [made_up.record(0, made_up.dying(8)), made_up.epoch_end(1, 22)]
    run = described(finished(items), " ".join(HOSTILE.values()))
    assert export.whole(run, form)
    name = export.file_name(runs.info(run), form)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,200}", name), name


def test_a_spreadsheet_takes_no_name_for_a_formula_and_every_number_for_a_number():
    for begin in "=+-@\t\r\n":
        name = f"{begin}cmd|' /C calc'!A0"
        assert outcome_rows._plain(name) == f"'{name}"
    assert outcome_rows._plain("A name = a name") == "A name = a name"
    assert outcome_rows._plain(-1.5) == -1.5


# -- secrets ---------------------------------------------------------------------------------------

SECRET = "the presenter's own 8f2c"


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(rights.KEY, SECRET)
    return SECRET


def test_the_key_is_in_no_answer_and_in_no_line_of_the_log(key, caplog):
    caplog.set_level(logging.DEBUG)
    built = Starlette(
        routes=dashboard.app._user_routes,
        middleware=dashboard.app._user_middleware,
        exception_handlers=dashboard.app._exception_handlers,
    )
    client, here = TestClient(built), {"origin": "http://testserver"}
    answers = [
        client.post("/live/sign-in", json={"key": said}, headers=here) for said in ("wrong", SECRET)
    ]
    assert [answer.status_code for answer in answers] == [403, 200]
    answers += [
        client.request(method, re.sub(r"{.*?}", "live.js", route.path), headers=here)
        for route in dashboard.app._user_routes
        for method in getattr(route, "methods", ()) or ()
    ]
    for answer in answers:
        assert SECRET not in f"{answer.headers} {answer.text}"
    assert SECRET not in caplog.text


def test_the_key_is_in_no_page_no_export_and_no_file(key, home, monkeypatch):
    run = finished([made_up.record(0, made_up.dying(8))])
    for cookies in ({}, {rights.COOKIE: rights.token()}):
        monkeypatch.setattr(rights, "_cookies", lambda cookies=cookies: cookies)
        for name in ("lab.py", "lessons.py", "runs.py"):
            page = opened(name, run=run) if name == "lab.py" else opened(name)
            assert SECRET not in "\n".join(set_in_markdown(page))
            assert SECRET not in str(page.session_state._state.filtered_state)
            assert SECRET not in str(page.query_params)
            for one in page.get("bidi_component"):
                assert SECRET not in one.proto.json
    for form in export.FORMS.keys() - {
        "tensorboard"
    }:  # which takes seconds, and is made of the same
        assert SECRET.encode() not in export.whole(run, form), form
    for file in home.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


# -- code ------------------------------------------------------------------------------------------


def calls_of(path):
    """Every call in a module: its name as it is written, and its arguments by name."""
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}


RUNS_TEXT = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads",
             "marshal.loads", "shelve.open", "subprocess.getoutput", "yaml.load"}  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_runs_text_as_code(path):
    for name, options in calls_of(path):
        assert name not in RUNS_TEXT, f"{name} runs what it is given"
        assert options.get("shell") in (None, "False"), f"{name} starts a shell"
        if name in ("torch.load", "np.load", "numpy.load"):
            assert options.get("weights_only") == "True" or options.get("allow_pickle") == "False"


def test_what_is_asked_of_a_run_s_file_is_never_put_together_from_values():
    """A name cannot end a query: one that looks like SQL is found again, sign by sign."""
    name = "x'; DROP TABLE run; --"
    run = finished()
    library.describe(run, title=name, note=name, tags=[name])
    assert runs.info(run).title == name
    with sqlite3.connect(runs.path(run)) as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)
