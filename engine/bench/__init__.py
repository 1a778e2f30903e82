"""`python -m engine bench`: what watching costs on this machine, measured beside not watching."""
