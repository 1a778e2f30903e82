"""The library of runs: open one in the Lab, or delete it."""

import streamlit as st

from ui import library

st.session_state["left_lab"] = True
st.title("Runs")
library.draw_broken()
library.draw()
