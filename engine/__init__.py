"""Everything that knows about training. Never imports streamlit or plotly."""

__version__ = "0.6.0"
