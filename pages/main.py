"""The frame around every page: its title, the pages, the look that configuration cannot say."""

import streamlit as st

from ui import follow_panel, frame, library_actions, sign_in

st.set_page_config(
    page_title=frame.NAME,
    page_icon=frame.ICON,
    layout="wide",
    initial_sidebar_state=320,
)
st.html(frame.STYLE)
st.logo(frame.LOGO, size="large")
page = st.navigation(
    [
        st.Page(
            "lab.py",
            title="Lab",
            icon=":material/science:",
            default=True,
            help="One network, live: choose remedies, press Train, watch the gradient per layer.",
        ),
        st.Page(
            "compare.py",
            title="Compare",
            icon=":material/compare:",
            help="Two to six networks on the same axes: which remedy did the work?",
        ),
        st.Page(
            "theory.py",
            title="Theory",
            icon=":material/function:",
            help="What can be calculated before the first step, beside what is measured.",
        ),
        st.Page(
            "lessons.py",
            title="Lessons",
            icon=":material/school:",
            help="The lecture in ten chapters: predict, watch a real network train, see why.",
        ),
        st.Page(
            "runs.py",
            title="Runs",
            icon=":material/library_books:",
            help="Every run there is: find, compare, describe, delete; save one as a file or take one in.",
        ),
    ]
)
# Each page takes up again what it showed, when a person comes back to it.
for other in frame.COME_BACK_TO - {page.url_path or "lab"}:
    st.session_state[f"left_{other}"] = True
follow_panel.arrive(page.url_path or "lab")
if page.url_path != "runs":
    library_actions.leave()
page.run()
with st.sidebar:
    sign_in.draw()
    follow_panel.draw()
st.sidebar.caption(frame.FOOTER)
