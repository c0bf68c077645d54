"""Lets Odoo run as a user whom /etc/passwd does not know.

Imported by Python itself at every start with this folder in PYTHONPATH, so
also by the processes that Odoo starts or re-executes. Odoo asks for the name of
its user, and dies if there is none.
"""
import os
import pwd

_getpwuid = pwd.getpwuid


def getpwuid(uid):
    try:
        return _getpwuid(uid)
    except KeyError:
        if uid != os.getuid():
            raise
        name = os.environ.get('USER', 'odoo')
        home = os.environ.get('HOME', '/')
        return pwd.struct_passwd((name, 'x', uid, os.getgid(), '', home, '/usr/sbin/nologin'))


pwd.getpwuid = getpwuid
