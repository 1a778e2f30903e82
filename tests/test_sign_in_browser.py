"""Signing in through a real browser, by keyboard alone; and what the key leaves behind there."""

import json

import pytest
from browser import Server, Visitor
from playwright.sync_api import expect

from ui import rights, sign_in

pytestmark = pytest.mark.browser
KEY = "the key of this hall"
FIELD = "Presenter's key"


@pytest.fixture(scope="module")
def hall(browser, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("hall"), **{rights.KEY: KEY})
    yield server
    server.stop()


@pytest.fixture
def person(browser, hall):
    """Somebody with a browser of their own."""
    context = browser.new_context()
    person = Visitor(context, hall)
    person.posted = []
    person.page.on("request", lambda request: person.posted.append(request.post_data or ""))
    yield person
    context.close()


def presents(person):
    person.page.get_by_text(sign_in.PRESENTING, exact=True).wait_for()
    return person.control("train", "button")


def watches(person):
    person.page.get_by_text(sign_in.WATCHING, exact=True).wait_for()
    expect(person.control("train")).to_have_count(0)


def type_the_key(person, key):
    """From the closed box to the answer, without a mouse."""
    person.page.locator(".vgl-sign-box summary").focus()
    person.page.keyboard.press("Enter")
    expect(person.page.get_by_label(FIELD)).to_be_focused()
    person.page.keyboard.type(key)
    person.page.keyboard.press("Enter")


def test_a_person_signs_in_by_keyboard_presents_and_signs_out_on_all_pages(person, hall):
    person.open("?kind=weight")
    watches(person)
    type_the_key(person, "not the key")
    refusal = person.page.get_by_role("alert").get_by_text("That is not the presenter's key.")
    refusal.wait_for()
    field = person.page.get_by_label(FIELD)
    expect(field).to_be_focused()  # and what was typed is selected: the next letter replaces it
    assert field.get_attribute("aria-invalid") == "true"
    person.page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(person.page.locator(".vgl-sign-box summary")).to_be_focused()
    type_the_key(person, KEY)  # what was typed before is forgotten with the box
    expect(presents(person)).to_be_enabled()
    assert "kind=weight" in person.page.url, "the page is the same as before"

    other = Visitor(person.page.context, hall)
    other.open()
    presents(other)
    person.page.get_by_role("button", name="Sign out").click()
    watches(person)
    other.press("train")  # drawn for the presenter, pressed after signing out
    other.page.get_by_text(rights.ONLY_PRESENTER).first.wait_for()
    watches(other)
    assert not list(hall.home.rglob("*.sqlite"))
    # What has been refused (403) is told by the browser too.
    assert [line for line in person.errors + other.errors if "403" not in line] == []


def test_the_key_stays_in_one_request_s_body(person, hall):
    person.open()
    type_the_key(person, KEY)
    presents(person)
    assert [body for body in person.posted if KEY in body] == [
        json.dumps({"key": KEY}, separators=(",", ":"))
    ]
    assert KEY not in "".join(person.addresses)
    assert KEY not in person.page.content()
    kept = (
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])"
    )
    assert KEY not in person.evaluate(kept)
    assert rights.COOKIE not in person.evaluate("document.cookie"), "no script reads the cookie"
    assert KEY not in hall.log.read_text()
