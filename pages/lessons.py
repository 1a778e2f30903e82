"""The lecture: ten chapters, each a question, a prediction, a real run, and what came of it."""

import streamlit as st

from engine.errors import LessonError
from ui import lesson_frame, lesson_link, lesson_stages, lessons, share
from ui.literal import literal

lesson_link.arrive()
st.html(lesson_frame.STYLE)
try:
    chapters = lessons.read_all()
except LessonError as error:
    st.error(literal(error), icon=":material/error:")
    st.stop()
place = lesson_link.read(chapters)
share.hide(share.hidden())

with st.sidebar:
    lesson_frame.draw_contents(chapters, place)
with st.container():  # always there: what is below must not move when it fills
    lesson_frame.draw_ignored(place)
lesson_frame.draw_bar(chapters, place)
with st.container(key="lesson_page"):
    if place.lesson is None:
        lesson_frame.draw_cover(chapters)
    else:
        lesson_frame.draw_head(place.lesson, len(chapters))
        lesson_stages.draw(place.lesson, place.stage)
