"""Only Heddle's router gets an answer from this Odoo.

Every tenant's Odoo listens on the machine's loopback interface, which its
neighbours can reach as well. The router knows each Odoo's key and sends it
along; whoever does not is refused before Odoo sees the request.
"""
import hmac
import logging
import os

import odoo.release
import odoo.service.server

_logger = logging.getLogger(__name__)

KEY_FILE = 'HEDDLE_ROUTER_KEY_FILE'
# X-Heddle-Router; servers join a repeated header with commas, which is no key
HEADER = 'HTTP_X_HEDDLE_ROUTER'


def read_key():
    """The router's key, or None: then every request is refused."""
    path = os.environ.get(KEY_FILE)
    if not path:
        _logger.info("%s is not set: every request will be refused", KEY_FILE)
        return None
    try:
        with open(path, 'rb') as key_file:
            key = key_file.read().strip()
    except (IOError, OSError) as error:
        _logger.warning("%s: %s: every request will be refused", KEY_FILE, error)
        return None
    if not key:
        _logger.warning("%s: %s is empty: every request will be refused", KEY_FILE, path)
    return key or None


class Guard(object):
    """WSGI application in front of Odoo's own."""

    def __init__(self, app, key):
        self.app = app
        self.key = key
        # /web/health came with Odoo 15
        self.health = odoo.release.version_info[0] in (11, 12, 13, 14)

    def __call__(self, environ, start_response):
        # taken out, so that no addon and no log ever sees it
        given = environ.pop(HEADER, '').encode('utf-8', 'replace')
        if self.key is None or not hmac.compare_digest(given, self.key):
            return answer(start_response, '403 Forbidden', 'text/plain',
                          b'This server answers its router alone.\n')
        if self.health and environ.get('PATH_INFO') == '/web/health':
            return answer(start_response, '200 OK', 'application/json', b'{"status": "pass"}')
        return self.app(environ, start_response)


def answer(start_response, status, content_type, body):
    start_response(status, [
        ('Content-Type', content_type),
        ('Content-Length', str(len(body))),
        ('Cache-Control', 'no-store'),
    ])
    return [body]


def install():
    key = read_key()

    # Threaded, gevent and prefork servers differ in how they are given their
    # application (wsgi_server.application up to 15, http.root since), but all
    # of them, in every version, keep it in `app`.
    def get_app(self):
        return self.__dict__['app']

    def set_app(self, app):
        self.__dict__['app'] = app if isinstance(app, Guard) else Guard(app, key)

    odoo.service.server.CommonServer.app = property(get_app, set_app)
