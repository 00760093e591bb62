"""The bundled strategies, one a file: each is meant to be read, copied and changed."""
