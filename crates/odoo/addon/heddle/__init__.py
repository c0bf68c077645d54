"""Heddle's guards around an Odoo that it hosts.

Loaded by ``server_wide_modules``; never installed in a database. Written for
every Odoo from 11 (Python 3.5) to 19.
"""
import os
import sys
import traceback

try:
    from . import files, router

    router.install()
    files.install()
except BaseException:
    # Odoo only logs that a server-wide module failed to load, and then serves
    # without it: an Odoo without these guards must not serve at all.
    traceback.print_exc()
    sys.stderr.write("Heddle's guards could not be put in place; Odoo is not started.\n")
    sys.stderr.flush()
    os._exit(70)
