"""Theory beside measurement: where an untrained network stands between order and chaos."""

import streamlit as st

from ui import share, theory_controls, theory_live
from ui.literal import listed

net = theory_controls.arrive()
spec, faults = theory_controls.checked(net)
share.hide(share.hidden())
with st.sidebar:
    theory_controls.draw(net, faults)

with st.container():  # always there: what is below must not move when it fills
    if net.ignored:
        lines = listed(net.ignored)
        st.warning(f"Ignored from the link:\n{lines}", icon=":material/link_off:")
with st.container(horizontal=True, wrap=False, vertical_alignment="center", key="theory_head"):
    st.markdown(
        "**Before the first step**, a wide network's gradients can be calculated. "
        "Slide $\\sigma_w$: theory's dashed line and the measured dots move together.",
        width="stretch",
    )
    share.draw(share.THEORY)
theory_live.mount(
    net.fields,
    width=int(net.fields.get("width", theory_controls.PLAIN["width"])),
    run=net.run if spec is not None else "",
    key=theory_controls.KEY,
    on_slid=theory_controls.slid,
)
