"""What the audience sees: everything, and nothing to press that would change it for others."""

import re
from functools import partial
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from test_library import press as press_in_list
from test_pages import MAIN, STATES, UNKNOWN, live, made, said
from test_rights import KEY, everything

from engine import contenders, library, runs, store, trash
from engine.contenders import Contender
from engine.errors import RightsError
from engine.spec import RunSpec
from ui import (
    class_panel,
    controls,
    ladder_panel,
    lesson_run,
    lesson_runs,
    lessons,
    library_actions,
    probes,
    rights,
    routes,
    side_by_side,
    sign_in,
    theory_answers,
)
from ui import library as page_of_runs
from ui.class_predictions import ClassPredictions, new_page
from ui.lesson_visit import Visit

#: What the audience finds on a page to move, press or choose, besides the chapters of the lessons.
LOOKING = [
    r"profile",
    r"kind",
    r"layer",
    r"axis",
    r"run_picker",
    r"live",
    r"dismiss",
    r"export_\w+",
    r"export",
    r"share",
    r"lesson",
    r"share_links",
    r"sign_in",
    r"follow",
    r"compare_(show|runs|align|part|histograms|histogram_layer|ladder|rows|rows_show|judged|judged_show|dismiss)",
    r"comparison",
    r"theory",
    r"theory_(?!take)\w+",
    r"lesson_(back|next|stage|home|keys|skip|keep|to_predict|to_run|begin|data|live|comparison|export_\w+)",
    r"lesson_(open|begin)_\d+",
    r"lesson_(choice|number|check|answer|slow|pad|sketch)\w*",
    r"lesson_predict\w*",
    r"find",
    r"starred",
    r"in_status",
    r"with_remedies",
    r"of_preset",
    r"on_data",
    r"clear_filters",
    r"runs_page",
    r"library_list",
]
WITHOUT_A_STATE = {"flex_container", "expander"}


def widgets(page):
    """What a person can move or press on a page: key -> what it is."""
    found = {}

    def walk(node):
        name = getattr(getattr(node, "proto", None), "id", "")
        if name and node.type not in WITHOUT_A_STATE:
            found[re.sub(r"^\$\$ID-[0-9a-f]+-", "", name)] = node.type
        for child in getattr(node, "children", {}).values():
            walk(child)

    walk(page._tree)
    return found


def everything_in(folder):
    return everything(Path(folder))


def is_for_looking(key):
    return any(re.fullmatch(pattern, key) for pattern in LOOKING)


@pytest.fixture(scope="module")
def chapter():
    """A chapter that trains one network."""
    return next(one for one in lessons.read_all() if len(one.runs) == 1)


@pytest.fixture(scope="module")
def hall(tmp_path_factory, chapter):
    """A library with runs of every kind: what they are called -> id. No test may change it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("hall")
        patch.setenv("VGLAB_HOME", str(folder))
        found = {status: made(status, **STATES[status][0]) for status in store.STATUSES}
        found["training"] = made(store.RUNNING, RunSpec(activation="relu"), step=40)
        found["broken"] = made(store.FINISHED)
        runs.path(found["broken"]).write_bytes(b"not a database at all" * 100)
        found["set"] = contenders.start(
            [Contender(title=f"Depth {depth}", spec=RunSpec(depth=depth)) for depth in range(1, 9)]
        )[0].removesuffix("-c01")
        found["lesson"] = made(store.RUNNING, chapter.runs[0].spec, step=12)
        library.describe(found["finished"], title="A name", starred=True, tags=["a tag"])
        found["deleted"] = made(store.FINISHED)
        trash.throw(found["deleted"])
        found["folder"] = str(folder)
        return found


class People:
    """Whose page the next one is."""

    def __init__(self, patch):
        self.patch = patch

    def audience(self):
        self.patch.setattr(rights, "_cookies", dict)

    def presenter(self):
        cookies = {rights.COOKIE: rights.token()}
        self.patch.setattr(rights, "_cookies", lambda: cookies)


@pytest.fixture(autouse=True)
def home(hall, monkeypatch, tmp_path):
    """That library, and at the end nothing in it has changed."""
    monkeypatch.setenv("VGLAB_HOME", hall["folder"])
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(controls, "BEGUN_S", 0.0)
    monkeypatch.setattr(probes.Probes, "_loop", lambda self: pytest.fail("something is measured"))
    return hall["folder"]


@pytest.fixture
def people(monkeypatch, home):
    """A server with a key; whoever comes is audience at first."""
    monkeypatch.setenv(rights.KEY, KEY)
    people = People(monkeypatch)
    people.audience()
    return people


def opened(page="lab.py", state=(), **query):
    """A page as a link opens it, in a session that holds this much."""
    test = AppTest.from_file(MAIN, default_timeout=30)
    if page != "lab.py":
        test.switch_page(page)
    for name, value in dict(state).items():
        test.session_state[name] = value
    for name, value in query.items():
        test.query_params[name] = value
    return checked(test.run())


def checked(page):
    assert not page.exception, page.exception[0].value
    return page


def visit(chapter):
    """Of somebody who has declined to predict."""
    return {"lesson_visits": {chapter.slug: Visit(skipped=True)}}


#: name -> (page, what its session holds, its link), of a hall and a chapter
LINKS = {
    "the Lab": lambda at, chapter: ("lab.py", {}, {}),
    "a run by its settings": lambda at, chapter: (
        "lab.py",
        {},
        {"activation": "relu", "depth": "3", "layer": "2", "kind": "weight"},
    ),
    "no such run": lambda at, chapter: ("lab.py", {}, {"run": UNKNOWN, "colour": "red"}),
    **{
        f"a run that is {status}": lambda at, chapter, status=status: (
            "lab.py",
            {},
            {"run": at[status], "step": "3"},
        )
        for status in (*store.STATUSES, "training", "broken", "deleted")
    },
    "open popovers": lambda at, chapter: (
        "lab.py",
        {"lab_change": True, "branch": True},
        {"run": at["training"]},
    ),
    "the comparison": lambda at, chapter: ("compare.py", {}, {}),
    "two runs": lambda at, chapter: (
        "compare.py",
        {"compare_change": True},
        {"runs": f"{at['training']},{at['finished']},{UNKNOWN}", "new": "baseline+batchnorm"},
    ),
    "the ladder": lambda at, chapter: ("compare.py", {}, {"show": "ladder"}),
    "a ladder": lambda at, chapter: ("compare.py", {}, {"show": "ladder", "ladder": at["set"]}),
    "the verdict": lambda at, chapter: ("compare.py", {}, {"show": "verdict", "seeds": "3"}),
    "theory": lambda at, chapter: ("theory.py", {}, {}),
    "a run's theory": lambda at, chapter: ("theory.py", {}, {"run": at["finished"]}),
    "the lessons": lambda at, chapter: ("lessons.py", {}, {}),
    **{
        f"the stage {stage}": lambda at, chapter, stage=stage: (
            "lessons.py",
            {} if stage in ("question", "predict") else visit(chapter),
            {"chapter": chapter.slug, "stage": stage},
        )
        for stage in ("question", "predict", "run", "reveal", "explain", "check")
    },
    "the library": lambda at, chapter: ("runs.py", {"chosen_runs": [at["finished"]]}, {}),
    "a search": lambda at, chapter: ("runs.py", {}, {"find": "name", "starred": "true"}),
    "a search in vain": lambda at, chapter: ("runs.py", {}, {"find": "no such name at all"}),
    "the library after a deletion": lambda at, chapter: (
        "runs.py",
        {"deleted_runs": {at["deleted"]: "Deleted"}},
        {},
    ),
}


@pytest.fixture
def measured(monkeypatch):
    """In place of the measuring process: it knows nothing yet."""
    monkeypatch.setattr(probes.Probes, "_loop", lambda self: None)


@pytest.mark.parametrize("name", LINKS)
def test_the_audience_can_look_everywhere_change_nothing_and_is_told_so(
    name, hall, home, chapter, people
):
    before = everything_in(home)
    page, state, query = LINKS[name](hall, chapter)
    shown = opened(page, state, **query)
    found = widgets(shown)
    assert [key for key in found if not is_for_looking(key)] == []
    assert "file_uploader" not in found.values()
    assert f"**{sign_in.WATCHING}**" in said(shown)
    assert rights.ONLY_PRESENTER not in said(shown), "nobody has asked for anything"
    assert everything_in(home) == before


def offered(name, hall, chapter):
    """A page and its buttons that can be pressed."""
    page, state, query = LINKS[name](hall, chapter)
    shown = opened(page, state, **query)
    return shown, {button.key for button in shown.button if not button.disabled}


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "name",
    ["open popovers", "two runs", "the comparison", "a ladder", "the library", "the stage run"],
)
def test_what_is_pressed_on_a_page_that_was_drawn_for_a_presenter_is_refused_to_the_audience(
    name, hall, home, chapter, people
):
    """By the socket: the browser sends what it has, whatever is drawn by now."""
    people.presenter()
    page, presenters = offered(name, hall, chapter)
    only_presenters = {key for key in presenters if not is_for_looking(key)}
    assert only_presenters
    before = everything_in(home)
    for key in sorted(only_presenters - PRESSED):
        people.presenter()
        checked(page.run())
        people.audience()
        checked(page.button(key=key).click().run())
        assert everything_in(home) == before, f"{key} has changed the library"
        assert [key for key in widgets(page) if not is_for_looking(key)] == []
        assert (rights.ONLY_PRESENTER in said(page)) == (key not in OWN_PAGE), key
    PRESSED.update(only_presenters)


PRESSED = set()  # by now, on one page or another
#: Buttons that move what one's own page shows, or would show: nothing is asked of the library.
OWN_PAGE = {"apply", "compare_add", "remove_baseline+batchnorm", "branch_compare"}


@pytest.mark.usefixtures("measured")
def test_the_hall_s_predictions_are_forgotten_for_a_presenter_alone(
    hall, people, chapter, monkeypatch
):
    gathered = ClassPredictions()
    monkeypatch.setattr(class_panel, "class_predictions", gathered)
    gathered.take(chapter, new_page(), (1e-3,) * chapter.runs[0].spec.layers)
    people.presenter()
    page, presenters = offered("the stage predict", hall, chapter)
    assert "class_anew" in presenters
    people.audience()
    checked(page.button(key="class_anew").click().run())
    assert len(gathered.of(chapter)) == 1
    assert rights.ONLY_PRESENTER in said(page)


def test_a_refusal_is_said_once(hall, people):
    people.presenter()
    page = opened()
    people.audience()
    page.button(key="train").click().run()
    assert rights.ONLY_PRESENTER in said(page)
    assert rights.ONLY_PRESENTER not in said(checked(page.run()))


def test_what_the_list_of_runs_sends_is_refused_to_the_audience(hall, home, people):
    before = everything_in(home)
    for what, on in (("star", False), ("edit", None), ("delete", None)):
        page = press_in_list(opened("runs.py"), what, hall["finished"], on)
        assert rights.ONLY_PRESENTER in [error.value for error in page.error], what
        assert "text_area" not in widgets(page).values()
        assert everything_in(home) == before
    page = press_in_list(opened("runs.py"), "open", hall["finished"])
    assert live(page)["run"] == hall["finished"], "to look is free"


def test_what_is_no_press_in_the_list_is_passed_over():
    good = {"number": 1, "do": "tick", "run": "a", "on": True}
    assert page_of_runs._is_press(good)
    assert page_of_runs._is_press(good | {"on": None})
    wrong = [
        None,
        [],
        "tick",
        {},
        good | {"more": 1},
        good | {"number": "1"},
        good | {"number": 1.5},
    ]
    wrong += [
        good | {"do": "purge"},
        good | {"do": ["tick"]},
        good | {"run": 3},
        good | {"on": "x"},
    ]
    assert not any(map(page_of_runs._is_press, wrong))


def test_a_file_that_is_sent_all_the_same_is_not_taken_in(hall, home, people, monkeypatch):
    class Given:
        name = "a.vglab"

        def getvalue(self):
            return b"SQLite format 3\0"

    before = everything_in(home)
    monkeypatch.setattr(
        library_actions.rights.gate, "_GUARDS", [lambda: rights.ONLY_PRESENTER], raising=False
    )
    monkeypatch.setattr(library_actions.st, "session_state", {"import_0": Given(), "imports": 0})
    library_actions._take_in("import_0")
    assert library_actions.st.session_state["library_said"] == (rights.ONLY_PRESENTER, True)
    assert everything_in(home) == before


def test_the_audience_has_no_remedy_to_press_and_is_not_told_to_press_train(hall, people):
    page = opened(run=hall["training"])
    assert not live(page)["offers"]
    assert "press Train" not in live(opened())["invitation"]
    assert controls.NOTHING_SHOWN in said(opened())
    people.presenter()
    assert live(opened(run=hall["training"]))["offers"]
    assert "press Train" in live(opened())["invitation"]


def test_the_audience_is_invited_to_look_not_to_start(hall, people, monkeypatch, tmp_path):
    assert side_by_side.NOTHING_SHOWN in said(opened("compare.py"))
    assert ladder_panel.NONE_TO_SEE in said(opened("compare.py", show="ladder"))
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "empty"))
    assert "what the presenter trains is listed here" in said(opened("runs.py"))


def test_a_full_library_is_told_to_all_and_emptied_by_the_presenter_alone(
    hall, people, monkeypatch
):
    monkeypatch.setenv("VGLAB_MOST_RUNS", "10")
    watched = opened("runs.py")
    assert "The library holds" in said(watched)
    assert [key for key in widgets(watched) if not is_for_looking(key)] == []
    people.presenter()
    assert "let_go" in widgets(opened("runs.py"))


def test_the_audience_s_lesson_shows_the_presenter_s_run_and_waits_for_it(
    hall, people, chapter, monkeypatch, tmp_path
):
    lesson = partial(opened, "lessons.py", visit(chapter), chapter=chapter.slug, stage="run")
    assert live(lesson())["run"] == hall["lesson"]
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "empty"))
    assert lesson_run.WAITING in said(lesson())


def test_the_audience_is_shown_what_trains_now_before_what_has_trained(
    people, chapter, monkeypatch, tmp_path
):
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "two"))
    live_run = made(store.RUNNING, chapter.runs[0].spec, step=3)
    ended = made(store.FINISHED, chapter.runs[0].spec)
    assert [info.id for info in lesson_runs.find(chapter, Visit())] == [live_run]
    people.presenter()
    assert [info.id for info in lesson_runs.find(chapter, Visit())] == [ended]


def test_nothing_new_is_measured_for_the_audience_and_what_is_known_is_told(monkeypatch):
    asked = probes.Probes()
    monkeypatch.setattr(probes.Probes, "_loop", lambda self: None)
    spec = RunSpec(depth=2)
    told = asked.ask("kernel", spec, anew=False)
    assert told.done
    assert told.error == probes.NOT_ANEW
    assert not asked.questions
    assert asked.thread is None
    asked.ask("kernel", spec)
    (question,) = asked.questions.values()
    question.rows, question.done, when = [{"kernel": {}}], True, question.asked_at
    told = asked.ask("kernel", spec, anew=False)
    assert told.rows == ({"kernel": {}},)
    assert not told.error
    assert question.asked_at == when, "who only looks keeps no measurement alive"


class Asked:
    """In place of the Theory page's answers: what it was asked."""

    def __init__(self):
        self.anew = []

    def network(self, _, *, anew):
        self.anew.append(anew)
        return {}


def test_the_theory_page_s_route_has_networks_measured_for_a_presenter_alone(people):
    asked = Asked()
    app = Starlette(routes=list(routes.routes(None, None, lambda: asked)))
    with TestClient(app) as client:
        client.get("/live/theory")
        client.cookies[rights.COOKIE] = rights.token()
        client.get("/live/theory")
        people.patch.delenv(rights.KEY)
        client.get("/live/theory")
    assert asked.anew == [False, True, True]


def test_the_theory_page_tells_the_audience_what_can_be_calculated_all_the_same():
    theory = theory_answers.Theory(probes.Probes())
    while not (told := theory.network({"depth": "4"}, anew=False))["done"]:
        pass
    assert told["progress"] == probes.NOT_ANEW
    assert not told["failed"], "nothing is wrong"
    assert told["formula"], "how the gradient falls is calculated"


# -- those who may ---------------------------------------------------------------------------------

#: What a presenter finds besides, by link.
PRESENTERS = {
    "a run that is training": {
        "train",
        "stop",
        "lab_pause",
        "apply",
        "preset",
        "remedies",
        "depth",
    },
    "open popovers": {"lab_freeze", "branch_start", "again", "branch_compare"},
    "the comparison": {"start_ready_0", "start_together", "compare_add", "compare_seeds"},
    "the ladder": {"start_ladder", "compare_form"},
    "the verdict": {"start_verdict"},
    "theory": {"theory_take"},
    "the stage run": {"lesson_stop"},
    "the library": {"delete_ticked", "import_0"},
    "the library after a deletion": {"undo"},
}


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", PRESENTERS)
def test_a_presenter_finds_all_of_it(name, hall, home, chapter, people):
    people.presenter()
    page, state, query = LINKS[name](hall, chapter)
    shown = opened(page, state, **query)
    assert PRESENTERS[name] - widgets(shown).keys() == set()
    assert f"**{sign_in.PRESENTING}**" in said(shown)
    assert sign_in.WATCHING not in said(shown)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", ["a run that is training", "the library"])
def test_without_a_key_everybody_does_and_a_line_says_so(name, hall, chapter, monkeypatch):
    monkeypatch.delenv(rights.KEY, raising=False)
    page, state, query = LINKS[name](hall, chapter)
    shown = opened(page, state, **query)
    assert PRESENTERS[name] - widgets(shown).keys() == set()
    assert sign_in.NO_KEY in said(shown)
    assert "sign_in" not in widgets(shown)


@pytest.mark.usefixtures("measured")
def test_the_key_is_in_no_page_and_in_no_session(hall, people):
    for who in (people.audience, people.presenter):
        who()
        for page in ("lab.py", "runs.py"):
            shown = opened(page)
            protos = []

            def walk(node, protos=protos):
                protos.append(str(getattr(node, "proto", "")))
                for child in getattr(node, "children", {}).values():
                    walk(child)

            walk(shown._tree)
            assert KEY not in "".join(protos)
            assert KEY not in repr(shown.session_state)


def test_the_gate_lets_a_presenter_s_page_through(hall, people, monkeypatch):
    monkeypatch.setattr(rights, "get_script_run_ctx", lambda **_: object())
    monkeypatch.setattr(rights.st, "session_state", {})
    with pytest.raises(RightsError, match="Only the presenter"):
        rights.gate.check()
    assert rights.was_refused()
    assert not rights.was_refused()
    people.presenter()
    rights.gate.check()
    assert not rights.was_refused()
