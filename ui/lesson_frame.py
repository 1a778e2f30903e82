"""What stands around a lesson: the table of contents, the stages, the keys, links and the export."""

from collections.abc import Sequence

import streamlit as st

from ui import lesson_link, lesson_runs, lesson_visit, share, unheard
from ui.lesson_link import STAGES, Place
from ui.lessons import Lesson
from ui.literal import listed
from ui.live import component

#: Text that is read from the last row; twice as calm where a projector shows it.
STYLE = """
<style>
.st-key-lesson_page > [data-testid="stVerticalBlock"], .st-key-lesson_page { gap: 0.9rem; }
.st-key-lesson_page :is(p, li) { font-size: 1.2rem; line-height: 1.6; }
.st-key-lesson_text { max-width: 64rem; }
.st-key-lesson_page h1 { font-size: 2.3rem; line-height: 1.25; max-width: 56rem; padding: 0.4rem 0 0.8rem; }
.st-key-lesson_page h2 { font-size: 1.7rem; line-height: 1.3; max-width: 60rem; padding: 0.2rem 0 0.5rem; }
.st-key-lesson_page h3:not(.vgl-title) { font-size: 1.4rem; }
.st-key-lesson_page .katex { font-size: 1.06em; }
.st-key-lesson_page .katex-display { font-size: 1.3rem; }
.st-key-lesson_page .katex-display > .katex { font-size: 1em; }
.vgl-projector .st-key-lesson_page .katex-display { font-size: 1.9rem; }
.st-key-lesson_page [data-testid="stCaptionContainer"] p { font-size: 1.05rem; line-height: 1.5; }
.st-key-lesson_page :is(td, th) { font-size: 1.15rem; line-height: 1.5; padding: 0.35rem 0.8rem; }
.st-key-lesson_page table { font-variant-numeric: tabular-nums; }
.st-key-lesson_page [data-testid="stRadio"] label p { font-size: 1.25rem; line-height: 1.5; }
.st-key-lesson_page [data-testid="stRadio"] label { padding: 0.3rem 0; }
.st-key-lesson_page :is(button, a) p { font-size: 1.05rem; }
.st-key-lesson_bar :is(button, a) p { font-size: 1rem; }
.st-key-lesson_contents { gap: 0.15rem; }
.st-key-lesson_contents button { padding: 0.15rem 0.4rem; min-height: 1.9rem; }
.st-key-lesson_contents button > div { justify-content: flex-start; width: 100%; }
.st-key-lesson_contents button p { text-align: left; }
/* The arrow keys turn pages here: no frame around all of it. */
[data-testid="stMain"]:focus-visible::before { box-shadow: none !important; }
.st-key-lesson_page .vgl-larger { display: none; } /* one for the whole page is above */
[class*="st-key-lesson_card_"] { padding: 0.35rem 0.9rem 0.5rem; gap: 0; }
.st-key-lesson_page [class*="st-key-lesson_card_"] [data-testid="stCaptionContainer"] p { font-size: 1rem; line-height: 1.4; }
[class*="st-key-lesson_card_"] button { min-height: 1.9rem; padding: 0; }
.st-key-lesson_contents button p { font-size: 1rem; }
.vgl-projector .st-key-lesson_page :is(p, li) { font-size: 1.75rem; line-height: 1.5; }
.vgl-projector .st-key-lesson_page h1 { font-size: 3.3rem; max-width: none; }
.vgl-projector .st-key-lesson_page h2 { font-size: 2.4rem; max-width: none; }
.vgl-projector .st-key-lesson_page h3:not(.vgl-title) { font-size: 2rem; }
.vgl-projector .st-key-lesson_text { max-width: none; }
.vgl-projector .st-key-lesson_page :is(td, th) { font-size: 1.6rem; }
.vgl-projector .st-key-lesson_page [data-testid="stCaptionContainer"] p { font-size: 1.4rem; }
.vgl-projector .st-key-lesson_page [data-testid="stRadio"] label p { font-size: 1.8rem; }
.vgl-projector .st-key-lesson_page :is(button, a) p { font-size: 1.4rem; }
.vgl-projector .st-key-lesson_page .vgl p { font-size: 19px; line-height: 25px; }
.st-key-lesson_page .vgl p { font-size: 14px; line-height: 18px; }
.vgl-lesson-options { display: grid; gap: 0.5rem; max-width: 56rem; margin: 0.2rem 0 0.6rem; }
.vgl-lesson-option {
  display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; align-items: baseline; padding: 0.6rem 1rem;
  border: 2px solid var(--st-border-color, #9aa7b5); border-radius: 0.5rem; font-size: 1.25rem;
}
.vgl-lesson-option[data-measured="true"] { border-color: #1f8a5b; border-width: 3px; font-weight: 650; }
.vgl-lesson-mark { margin-left: auto; font-weight: 650; }
.vgl-projector .vgl-lesson-option { font-size: 1.75rem; }
</style>
"""
TITLE = "Lessons"
INTRODUCTION = (
    "Ten chapters: why the gradient vanishes, seven ways to keep it alive, and which of them did the "
    "work. Each asks you to **predict** first; then a real network is trained before your eyes."
)


def draw_contents(lessons: Sequence[Lesson], place: Place) -> None:
    """The sidebar: the chapters, what has been done in each, and the export of it."""
    with st.container(key="lesson_contents"):
        st.button(
            "All chapters",
            key="lesson_home",
            type="tertiary",
            icon=":material/toc:",
            width="stretch",
            disabled=place.lesson is None,
            on_click=lesson_link.write,
            args=("",),
        )
        for lesson in lessons:
            here = place.lesson is not None and place.lesson.slug == lesson.slug
            title = f"{lesson.number}. {lesson.title}"
            st.button(
                f"**{title}**" if here else title,
                key=f"lesson_open_{lesson.number}",
                type="tertiary",
                icon=_done(lesson),
                width="stretch",
                on_click=lesson_link.write,
                args=(lesson.slug,),
            )
    with st.container(key="lesson_export"):
        _draw_export(lessons)


def _done(lesson: Lesson) -> str:
    """A sign of what has been done: nothing, something, the check question answered."""
    visit = lesson_visit.of(lesson)
    if visit.answer is not None:
        return ":material/check_circle:"
    return ":material/pending:" if visit.may_show else ":material/radio_button_unchecked:"


def _draw_export(lessons: Sequence[Lesson]) -> None:
    nothing = not lesson_visit.is_any(lessons)
    with st.popover(
        "Save my answers", icon=":material/download:", disabled=nothing, width="stretch"
    ):
        st.markdown(
            "Your predictions and answers are kept until you close this page, and nowhere else."
        )
        runs = {lesson.slug: _shown_runs(lesson) for lesson in lessons}
        found = [] if nothing else lesson_visit.rows(lessons, runs)
        for name, text, kind in (
            ("JSON", lesson_visit.as_json(found), "application/json"),
            ("CSV", lesson_visit.as_csv(found), "text/csv"),
        ):
            st.download_button(
                name,
                text,
                file_name=f"my-answers.{name.lower()}",
                mime=kind,
                key=f"lesson_export_{name.lower()}",
                icon=":material/download:",
                on_click="ignore",
                width="stretch",
            )


def _shown_runs(lesson: Lesson) -> list[str]:
    visit = lesson_visit.of(lesson)
    if not visit.shown:
        return []
    found = lesson_runs.find(lesson, visit)
    return [info.id for info in found if info] if all(found) else []


def draw_ignored(place: Place) -> None:
    """One sentence for each thing in the link that cannot be shown, until it leaves the link."""
    if not place.ignored:
        return
    lines = listed(place.ignored)
    slug = place.lesson.slug if place.lesson else ""
    with st.container(horizontal=True, wrap=False):
        st.warning(f"Ignored from the link:\n{lines}", icon=":material/link_off:")
        st.button(
            "Dismiss",
            key="lesson_dismiss",
            icon=":material/close:",
            on_click=lesson_link.write,
            args=(slug, place.stage),
        )


def draw_bar(lessons: Sequence[Lesson], place: Place) -> None:
    """Back, the stages, on; larger type; and links to hand on."""
    lesson = place.lesson
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_bar"):
        st.button(
            "Back",
            key="lesson_back",
            icon=":material/arrow_back:",
            disabled=lesson is None,
            on_click=lesson_link.turn,
            args=(lessons, -1),
            help="Key ←",
        )
        if lesson is not None:
            unheard.move("lesson_stage", place.stage)
            st.segmented_control(
                "Stage",
                list(STAGES),
                required=True,
                format_func=STAGES.__getitem__,
                key="lesson_stage",
                on_change=_stage_chosen,
                args=(lesson.slug,),
                label_visibility="collapsed",
            )
        last = lesson is not None and (lesson.slug, place.stage) == lesson_link.places(lessons)[-1]
        st.button(
            "Next" if lesson else "Begin",
            key="lesson_next",
            icon=":material/arrow_forward:",
            icon_position="right",
            disabled=last,
            on_click=lesson_link.turn,
            args=(lessons, 1),
            help="Key →",
        )
        st.space("stretch")
        keys = component("lesson", "lesson.js", "vgl-lesson-keys", 24)
        where = f"{lesson.slug} {place.stage}" if lesson else ""
        keys(data=[{"place": where}], key="lesson_keys", width="content")
        share.draw(share.LESSONS)


def _stage_chosen(slug: str) -> None:
    if not unheard.is_echo("lesson_stage"):
        lesson_link.write(slug, st.session_state["lesson_stage"])


def draw_cover(lessons: Sequence[Lesson]) -> None:
    """The table of contents, as the page without a chapter shows it."""
    st.title(TITLE)
    with st.container(key="lesson_text"):
        st.markdown(INTRODUCTION)
        st.caption(
            f"{sum(lesson.minutes for lesson in lessons)} minutes in all. The arrow keys turn the "
            "pages, **p** enlarges them for a projector."
        )
    half = -(-len(lessons) // 2)
    for column, some in zip(st.columns(2), (lessons[:half], lessons[half:]), strict=True):
        with column, st.container(gap="xsmall"):
            for lesson in some:
                _draw_card(lesson)


def _draw_card(lesson: Lesson) -> None:
    with st.container(border=True, key=f"lesson_card_{lesson.number}"):
        st.button(
            f"**{lesson.number}. {lesson.title}**",
            key=f"lesson_begin_{lesson.number}",
            type="tertiary",
            icon=_done(lesson),
            on_click=lesson_link.write,
            args=(lesson.slug,),
        )
        st.caption(f"{lesson.question} ({lesson.minutes}\u00a0min)")


def draw_head(lesson: Lesson, chapters: int) -> None:
    """Which chapter this is; small, since the stage's own words are what is read."""
    st.caption(
        f"Chapter {lesson.number} of {chapters} · **{lesson.title}** · {lesson.minutes} minutes"
    )
