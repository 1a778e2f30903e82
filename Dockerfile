# The dashboard in a container, as a normal user. Its library is a volume; a key makes whoever comes audience:
#   docker build -t vanishing-gradient-lab .
#   docker run --init -p 8501:8501 -v vglab:/library -e VGLAB_PRESENTER_KEY vanishing-gradient-lab
# torch's CPU wheels are a fifth of the size: name their index with --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 VGLAB_HOME=/library

RUN useradd --create-home --uid 1000 lab && install --directory --owner lab /library
WORKDIR /lab

# Before the code: a change of the code does not install everything anew.
COPY requirements.txt ./
RUN pip install --requirement requirements.txt
COPY . ./

USER lab
VOLUME /library
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/live/health', timeout=5)"]
CMD ["streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true"]
