"""Two to six networks on the same axes; every remedy in one table; what is published, judged."""

from dataclasses import replace

import streamlit as st

from ui import (
    compare_controls,
    compare_link,
    ladder_panel,
    lineup,
    share,
    side_by_side,
    verdict_panel,
)
from ui.compare_link import LADDER, SIDE_BY_SIDE

compare_link.arrive()
link, ignored = compare_link.read()
entries, missing = lineup.line_up(link.runs)
ladder = ladder_panel.find(link.ladder)
link, too_deep = side_by_side.check_layer(link, entries)
tidy = replace(link, runs=tuple(entry.id for entry in entries), ladder=ladder.id)
compare_link.keep(link)

with st.sidebar:
    if link.show == SIDE_BY_SIDE:
        compare_controls.draw_builder(link, entries)
    elif link.show == LADDER:
        ladder_panel.draw_sidebar(link, ladder)
    else:
        verdict_panel.draw_sidebar(link)

share.hide(share.hidden())
with st.container(horizontal=True, wrap=False, vertical_alignment="center", key="show_row"):
    with st.container():
        compare_controls.draw_show(link)
    share.draw(share.COMPARE)
with st.container():  # always there: what is below must not move when it fills
    compare_controls.draw_ignored([*ignored.values(), *missing, *too_deep, *ladder.sentences], tidy)
if link.show == SIDE_BY_SIDE:
    side_by_side.draw(link, entries)
elif link.show == LADDER:
    ladder_panel.draw(link, ladder)
else:
    verdict_panel.draw(link)
