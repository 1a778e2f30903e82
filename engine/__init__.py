"""Everything that knows about training. Never imports streamlit or plotly."""
