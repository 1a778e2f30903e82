"""Links to hand on: of exactly what is shown, and for a lesson with parts of the page hidden."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui import links
from ui.live import component

#: Part of links.HIDEABLE -> what of Streamlit's page it is. The rest is drawn by the live components.
SELECTORS = {
    "sidebar": '[data-testid="stSidebar"], [data-testid="stExpandSidebarButton"]',
    "actions": ".st-key-actions",
    "preset": ".st-key-preset",
    "remedies": ".st-key-remedies, .st-key-compare_remedies",
    "fields": '[class*="st-key-group_"]',
    "picker": ".st-key-run_picker, .st-key-compare_runs",
    "view": ".st-key-profile, .st-key-kind, .st-key-layer, .st-key-axis, .st-key-compare_view, .st-key-compare_show",
    "status": ".st-key-status",
    "contrast": ".st-key-contrast",
    "history": ".st-key-history",
    "lesson_contents": ".st-key-lesson_contents",
    "lesson_stages": ".st-key-lesson_back, .st-key-lesson_next, .st-key-lesson_stage",
    "lesson_export": ".st-key-lesson_export",
    "export": ".st-key-export",
    "share": ".st-key-share",
}
#: Parts that one page alone has.
_OF_LAB = ("preset", "status", "tiles", "replay", "histogram_ridge", "history")
_OF_COMPARE = ("contrast", "difference_heatmap", "table")
_OF_LESSONS = ("lesson_contents", "lesson_stages", "lesson_export")
LAB = tuple(part for part in links.HIDEABLE if part not in (*_OF_COMPARE, *_OF_LESSONS))
COMPARE = tuple(part for part in links.HIDEABLE if part not in (*_OF_LAB, "export", *_OF_LESSONS))
LESSONS = (
    "sidebar",
    *_OF_LESSONS,
    "tiles",
    "gradient_heatmap",
    "gradient_by_depth",
    "loss",
    "accuracy",
    "share",
)
THEORY = ("sidebar", "share")


def hidden() -> tuple[str, ...]:
    """The parts that the link hides."""
    if (known := st.session_state.pop(links.HIDE, None)) and links.HIDE not in st.query_params:
        st.query_params[links.HIDE] = ",".join(known)  # it left with what it named in vain
    return links.hidden(st.query_params.get_all(links.HIDE))[0]


def hide(parts: Sequence[str]) -> None:
    """Take the parts of Streamlit's page out of sight; their controls keep what they are set to."""
    found = ", ".join(SELECTORS[part] for part in parts if part in SELECTORS)
    st.html(
        f"<style>{found} {{ display: none !important; }}</style>" if found else "<style></style>"
    )


def draw(parts: Sequence[str]) -> None:
    """The popover with the links.

    parts  names of links.HIDEABLE that there are on this page
    """
    with st.popover("Share", icon=":material/share:", key="share"):
        st.markdown("**The same view elsewhere:** this run, this step, these charts.")
        chosen: Any = st.pills(
            "Hidden in a lesson",
            list(parts),
            selection_mode="multi",
            default=list(hidden()) or None,
            format_func=links.HIDEABLE.__getitem__,
            key="lesson",
            help="The link of a lesson shows the page without these.",
        )
        data = {"hide": ",".join(part for part in parts if part in (chosen or ()))}
        component("share", "share.js", "vgl-share", 80)(data=[data], key="share_links")
