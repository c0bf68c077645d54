"""A filestore's file is removed only after the repository has it.

Odoo's clean-up of the filestore (``_file_gc`` up to 13, ``_gc_file_store``
since) removes the files that no attachment refers to any more. The past still
refers to them: before such a file goes, its bytes are handed to Heddle's
archive service, and it goes only if that says that they are kept.

One request per connection to the Unix socket ``HEDDLE_FILES_SOCKET``: a line
``{"keep": "<sha1>", "len": N}``, then N bytes; the answer is one line,
``{"ok": true}`` or ``{"error": "..."}``.
"""
import errno
import functools
import importlib
import json
import logging
import os
import pathlib
import re
import socket
import stat
import threading

import odoo.release
from odoo.tools import config

_logger = logging.getLogger(__name__)

SOCKET = 'HEDDLE_FILES_SOCKET'
SHA1 = re.compile('^[0-9a-f]{40}$')
# the service answers after an fsync
TIMEOUT_S = 20

_unlink = os.unlink


class NotKept(Exception):
    """The file is not in the repository; the text says why."""


class Run(threading.local):
    """What the clean-up under way in this thread has found out so far."""

    def __init__(self):
        self.end()

    def begin(self):
        self.end()
        self.active = True

    def end(self):
        self.active = False
        self.kept = {}        # path -> identity of the file that is in the repository
        self.refused = {}     # (database, xx/sha1) -> why the file stays
        self.down = None      # why the service cannot be reached

    def keep(self, path):
        """Have the file in the repository, or raise NotKept."""
        if not SHA1.match(os.path.basename(path)):
            raise NotKept("its name is not a SHA-1")
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), 'rb') as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotKept("it is not a file")
            identity = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self.kept.get(path) == identity:
                return
            # a clean-up holds a lock on ir_attachment: it waits for a silent
            # service once, not once a file
            if self.down:
                raise NotKept(self.down)
            try:
                send(file, os.path.basename(path), status.st_size)
            except (OSError, EOFError) as error:
                down = "no answer from the archive service: %s" % error
                if self.active:
                    self.down = down
                raise NotKept(down)
            if self.active:
                self.kept[path] = identity


_run = Run()


def send(file, name, length):
    """Hand an open file to the archive service; return once it is kept."""
    address = os.environ.get(SOCKET)
    if not address:
        raise EOFError("%s is not set" % SOCKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as service:
        service.settimeout(TIMEOUT_S)
        service.connect(address)
        try:
            service.sendall(json.dumps({'keep': name, 'len': length}).encode('ascii') + b'\n')
            left = length
            while left:
                chunk = file.read(min(left, 1 << 16))
                if not chunk:
                    raise NotKept("it became shorter while it was read")
                service.sendall(chunk)
                left -= len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered already, with an error
        with service.makefile('rb') as lines:
            line = lines.readline(1 << 16)
    try:
        answer = json.loads(line.decode('utf-8'))
    except ValueError:
        raise EOFError("it hung up" if not line else "not JSON: %r" % line[:100])
    if not isinstance(answer, dict) or answer.get('ok') is not True:
        error = answer.get('error') if isinstance(answer, dict) else None
        raise NotKept(str(error or "no reason given"))


def in_filestore(path):
    """(database, the path below its filestore), or None."""
    filestore = os.path.join(config['data_dir'], 'filestore')
    for root in (filestore, os.path.realpath(filestore)):
        if path.startswith(root + os.sep):
            database, _, name = path[len(root) + 1:].partition(os.sep)
            return (database, name) if name else None
    return None


@functools.wraps(_unlink)
def unlink(path, *args, **kwargs):
    """os.unlink, but a filestore's file goes only when it is kept."""
    if kwargs.get('dir_fd') is not None:
        return _unlink(path, *args, **kwargs)
    full = os.path.abspath(os.fsdecode(path))
    place = in_filestore(full)
    if place is None:
        return _unlink(path, *args, **kwargs)
    database, name = place
    if name.startswith('checklist' + os.sep):
        # Odoo strikes a file off its checklist whether or not it could remove
        # it, and would never come back to it.
        why = _run.refused.pop((database, name[len('checklist' + os.sep):]), None)
        if why:
            raise OSError(errno.EBUSY, "stays for the next clean-up (%s)" % why, full)
        return _unlink(path, *args, **kwargs)
    try:
        _run.keep(full)
    except FileNotFoundError:
        raise
    except (NotKept, OSError) as error:
        _run.refused[database, name] = str(error)
        raise OSError(errno.EBUSY, "not in the repository (%s)" % error, full) from None
    return _unlink(path, *args, **kwargs)


def keep_ahead(filestore):
    """Have everything on the checklist in the repository before Odoo takes
    its lock on ir_attachment, so that nobody waits for the archive service."""
    for folder, _, names in os.walk(os.path.join(filestore, 'checklist')):
        for name in names:
            path = os.path.join(filestore, os.path.basename(folder), name)
            try:
                _run.keep(path)
            except (NotKept, OSError):
                pass  # asked again when it is about to be removed
            if _run.down:
                return


def guarded(collect):
    @functools.wraps(collect)
    def wrapper(self, *args, **kwargs):
        _run.begin()
        try:
            keep_ahead(self._filestore())
            result = collect(self, *args, **kwargs)
            if _run.down:
                _logger.warning("filestore clean-up: files stay until the next one: %s", _run.down)
            return result
        finally:
            _run.end()
    return wrapper


def install():
    module = 'ir' if odoo.release.version_info[0] == 11 else 'models'
    attachment = importlib.import_module('odoo.addons.base.%s.ir_attachment' % module)
    model = attachment.IrAttachment
    collectors = [name for name in ('_file_gc', '_gc_file_store') if name in vars(model)]
    if not collectors:
        raise RuntimeError("ir.attachment has no filestore clean-up known to Heddle")
    for name in collectors:
        setattr(model, name, guarded(vars(model)[name]))

    # For the whole process: ir_attachment uses os.unlink, some addons
    # os.remove, and pathlib its own reference up to Python 3.10.
    os.unlink = os.remove = unlink
    accessor = getattr(pathlib, '_NormalAccessor', None)
    if accessor is not None and hasattr(accessor, 'unlink'):
        accessor.unlink = staticmethod(unlink)
