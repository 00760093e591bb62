"""The WSGI entry point: `gunicorn wsgi:app`."""

from webapp import create_app

app = create_app()

if pool := app.extensions["tapedeck"].pool:
    pool.warm()  # so that the first visitor's run need not wait
for name in app.jinja_env.list_templates(extensions=["html"]):
    app.jinja_env.get_template(name)  # nor their page: to compile them all takes 0.2 s
