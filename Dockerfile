# Tapedeck in a container. It listens on all of the container's addresses and therefore refuses to start without a
# password: docker run -e TAPEDECK_PASSWORD=... -p 127.0.0.1:8000:8000 -v tapedeck:/var/lib/tapedeck tapedeck
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/tapedeck
COPY deploy/requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY engine engine
COPY webapp webapp
COPY wsgi.py gunicorn.conf.py LICENSE ./

RUN useradd --system --home-dir /var/lib/tapedeck --create-home tapedeck \
    && mkdir -p /var/lib/tapedeck/data /var/lib/tapedeck/strategies \
    && chown -R tapedeck: /var/lib/tapedeck
USER tapedeck
ENV TAPEDECK_HOST=0.0.0.0 \
    TAPEDECK_HOME=/var/lib/tapedeck \
    TAPEDECK_DATA_DIR=/var/lib/tapedeck/data \
    TAPEDECK_STRATEGIES_DIR=/var/lib/tapedeck/strategies
VOLUME /var/lib/tapedeck
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["gunicorn", "wsgi:app"]
