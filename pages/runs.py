"""The library of runs: open one in the Lab, compare some, or delete one."""

import streamlit as st

from ui import library

st.title("Runs")
library.draw_broken()
library.draw()
