"""The WSGI entry point: `gunicorn wsgi:app`."""

from webapp import create_app

app = create_app()

if pool := app.extensions["tapedeck"].pool:
    pool.warm()  # so that the first visitor's run need not wait
