"""One network, live: choose remedies, press Train, watch the gradient of every layer."""

import streamlit as st

from ui import controls, export_panel, history, live, press, replay, rights, share, spec_form

controls.read_link()
info = controls.shown_run()
spec, faults = controls.checked_spec()
st.session_state["lab_settings"] = (
    spec_form.fields()
)  # for the Theory page, beyond the controls' life
layers = info.spec.layers if info else spec.layers if spec else spec_form.DEFAULTS["depth"] + 1
controls.check_layer(layers)
hidden = share.hidden()
share.hide(hidden)
step = replay.wanted(info)

# What the browser takes longest to draw is sent last: while Python is still at the controls, the charts
# have heard of the run and ask for its first numbers. So every place is made before it is filled.
notes = st.container()  # always there: what is below must not move when it fills
picker, view_row = st.columns([1, 3])
status_row = st.container(
    horizontal=True, wrap=False, vertical_alignment="center", key="status_row"
)
charts = st.container()
past = st.container()

with view_row, st.container(horizontal=True, vertical_alignment="bottom"):
    view = controls.draw_view(layers)
with charts:
    live.mount(
        info.id if info else None,
        kind=view.kind,
        layer=view.layer,
        step_axis=view.axis,
        profile=view.profile,
        step=step,
        hidden=hidden,
        known=info,
        ready=press.ready(info, spec),
        linked=True,
    )
with st.sidebar:
    controls.draw_actions(info, spec, faults)
with notes:
    controls.draw_ignored()
with picker:
    controls.draw_run_picker(info)
with status_row:
    with st.container():
        if info is not None:
            controls.draw_status(info, spec)
        elif spec is not None:
            controls.draw_ready(spec)
    export_panel.draw(info)
    share.draw(share.LAB)
with past:
    if info is not None:
        history.draw(info)
if rights.is_presenter():
    with st.sidebar:
        spec_form.draw_preset(spec)
        spec_form.draw_remedies()
        spec_form.draw_groups(faults)
