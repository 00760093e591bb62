"""The WSGI entry point: `gunicorn wsgi:app`."""

from contextlib import suppress

from webapp import create_app
from webapp.store import StoreError

app = create_app()

# So that the first visitors need not wait, and what a server holds does not grow with them:
if pool := app.extensions["tapedeck"].pool:
    pool.warm()
with suppress(StoreError):  # which is told, and tried again, when somebody comes
    app.extensions["tapedeck"].store.database.warm()
for name in app.jinja_env.list_templates(extensions=["html"]):
    app.jinja_env.get_template(name)  # to compile them all takes 0.2 s
