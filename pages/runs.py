"""The library of runs: find one, open it in the Lab, compare some, describe, delete, take in and out."""

import streamlit as st

from ui import library, limits_panel

library.arrive()
st.title("Runs")
limits_panel.draw()
library.draw()
