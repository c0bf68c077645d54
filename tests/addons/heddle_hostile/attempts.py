"""What a hostile addon can try from inside its tenant's Odoo process.

Each attempt is made for real and answered with whether it was *refused*: by
the operating system, by PostgreSQL, or by HTTP with 401 or 403. Anything else
is not refused, also where nothing was there to be reached, since that proves
nothing.
"""
import ctypes
import errno
import http.client
import os
import socket
import uuid

import psycopg2

from odoo.tools import config

TIMEOUT_S = 5


class Refused(Exception):
    pass


# -- files

def read_file(path):
    with open(path, 'rb') as file:
        return "read %d bytes" % len(file.read(4096))


def list_dir(path):
    return "%d entries" % len(os.listdir(path))


def write_file(path):
    with open(path, 'ab') as file:
        file.write(b'heddle_hostile was here\n')
    return "wrote"


def remove_file(path):
    os.unlink(path)
    return "removed"


# -- sockets

def connect_unix(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(path)
    return "connected"


def connect_tcp_http(port, address='127.0.0.1', host=None, path='/web/login', headers=None, method='GET'):
    client = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
    try:
        # http.client leaves Host alone when it is given
        sent = dict(headers or {})
        sent['Host'] = host or '%s:%d' % (address, port)
        client.request(method, path, headers=sent)
        answer = client.getresponse()
        body = answer.read(200)
    finally:
        client.close()
    if answer.status in (401, 403):
        raise Refused("status %d" % answer.status)
    return "status %d, %r" % (answer.status, body[:60])


# -- PostgreSQL

def connect_tcp_postgres(port, user, database, password='', address='127.0.0.1'):
    """``address`` may be the folder of a Unix socket."""
    connection = psycopg2.connect(host=address, port=port, user=user, password=password,
                                  dbname=database, connect_timeout=TIMEOUT_S)
    connection.close()
    return "connected"


def own_connection(database=None):
    return psycopg2.connect(
        host=config['db_host'] or None, port=config['db_port'] or None, user=config['db_user'],
        password=config['db_password'] or None, dbname=database or config['db_name'],
        connect_timeout=TIMEOUT_S)


def as_own_role(statement, arguments=(), database=None):
    """Runs it as Odoo's own role, and takes it back."""
    connection = own_connection(database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            row = cursor.fetchone() if cursor.description else None
        return "done, %r" % (row,)
    finally:
        connection.rollback()
        connection.close()


def copy_program(command='id'):
    return as_own_role("CREATE TEMPORARY TABLE heddle_hostile_out (line text); "
                       "COPY heddle_hostile_out FROM PROGRAM %s; "
                       "SELECT line FROM heddle_hostile_out LIMIT 1", [command])


def copy_program_out(command='cat'):
    return as_own_role("COPY (SELECT 1) TO PROGRAM %s", [command])


def pg_read_file(path='/etc/passwd'):
    return as_own_role("SELECT left(pg_read_file(%s), 40)", [path])


def pg_ls_dir(path='.'):
    return as_own_role("SELECT pg_ls_dir(%s)", [path])


def lo_import(path='/etc/passwd'):
    return as_own_role("SELECT lo_import(%s)", [path])


def create_superuser():
    return as_own_role('CREATE ROLE "heddle_hostile_%s" SUPERUSER' % uuid.uuid4().hex[:8])


def become_superuser():
    return as_own_role('ALTER ROLE "%s" SUPERUSER' % config['db_user'])


def create_database():
    connection = own_connection()
    connection.autocommit = True  # CREATE DATABASE allows no transaction
    name = 'heddle_hostile_%s' % uuid.uuid4().hex[:8]
    try:
        with connection.cursor() as cursor:
            cursor.execute('CREATE DATABASE "%s"' % name)
            cursor.execute('DROP DATABASE "%s"' % name)
        return "created"
    finally:
        connection.close()


def alter_system():
    connection = own_connection()
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET archive_command = 'true'")
        return "done"
    finally:
        connection.close()


def switch_role(role):
    return as_own_role('SET ROLE "%s"' % role.replace('"', '""'))


def connect_database(database):
    """Another database of the tenant's own cluster."""
    return as_own_role("SELECT current_database()", database=database)


# -- processes

def read_proc(pid, entry='environ'):
    path = '/proc/%d/%s' % (pid, entry)
    if entry in ('fd', 'task', 'map_files'):
        return "%d entries" % len(os.listdir(path))
    if entry in ('cwd', 'exe'):
        return "leads to %s" % os.readlink(path)
    if entry == 'root':
        return "%d entries" % len(os.listdir(path + '/'))
    with open(path, 'rb') as file:
        return "opened, read %d bytes" % (0 if entry == 'mem' else len(file.read(4096)))


def signal_pid(pid, number=0):
    """Signal 0 only asks whether one may; TERM is tried for real."""
    os.kill(pid, number)
    return "sent %d" % number


def trace_pid(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    # PTRACE_SEIZE does not stop its target; it lets go when this thread ends
    if libc.ptrace(0x4206, pid, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return "attached"


def setuid(uid=0):
    os.setuid(uid)
    return "now uid %d" % os.getuid()


def setgid(gid=0):
    os.setgid(gid)
    return "now gid %d" % os.getgid()


def gain_privileges():
    """Whether a set-uid program could still raise this process's privileges."""
    with open('/proc/self/status') as status:
        fields = dict(line.rstrip('\n').split(':\t', 1) for line in status if ':\t' in line)
    if fields.get('NoNewPrivs') == '1' and int(fields['CapEff'], 16) == 0:
        raise Refused("no_new_privs is set, no capability is held")
    return "NoNewPrivs %s, CapEff %s" % (fields.get('NoNewPrivs'), fields.get('CapEff'))


KINDS = {function.__name__: function for function in (
    read_file, list_dir, write_file, remove_file, connect_unix, connect_tcp_http, connect_tcp_postgres,
    copy_program, copy_program_out, pg_read_file, pg_ls_dir, lo_import, create_superuser, become_superuser,
    create_database, alter_system, switch_role, connect_database, read_proc, signal_pid, trace_pid,
    setuid, setgid, gain_privileges,
)}

# How PostgreSQL and libpq word a refused connection, which has no SQLSTATE here.
NO_ENTRY = (
    'password authentication failed', 'no pg_hba.conf entry', 'pg_hba.conf rejects', 'permission denied',
    'peer authentication failed', 'authentication failed', 'is not permitted to log in',
)


def refusal(error):
    """Why an attempt that raised was refused; None if that is not what happened."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
        return "%s: %s" % (errno.errorcode[error.errno], error.strerror)
    if isinstance(error, psycopg2.Error):
        # 42501 insufficient_privilege, 28xxx invalid_authorization
        text = str(error).strip()
        if error.pgcode and (error.pgcode == '42501' or error.pgcode.startswith('28')):
            return "%s: %s" % (error.pgcode, text.split('\n')[0])
        if not error.pgcode and any(words in text.lower() for words in NO_ENTRY):
            return text.split('\n')[0]
    return None


def attempt(asked):
    arguments = dict(asked)
    kind = arguments.pop('kind', None)
    target = ' '.join('%s=%s' % item for item in sorted(arguments.items()) if item[0] != 'password')
    refused, detail = False, None
    try:
        if kind not in KINDS:
            raise ValueError("unknown kind of attempt")
        detail = KINDS[kind](**arguments)
    except Exception as error:  # whatever it was, it is the answer
        why = refusal(error)
        refused = why is not None
        detail = why or "%s: %s" % (type(error).__name__, str(error).strip().split('\n')[0])
    return {'kind': kind, 'target': target, 'refused': refused, 'detail': detail}


def run(asked):
    return {
        'attempts': [attempt(one) for one in asked],
        'pid': os.getpid(),
        'uid': os.getuid(),
    }
