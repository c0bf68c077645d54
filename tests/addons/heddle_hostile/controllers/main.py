import json

from odoo import http
from odoo.http import request

from .. import attempts


class Hostile(http.Controller):
    # Odoo up to 15 takes application/json for JSON-RPC: send text/plain.
    @http.route('/heddle_hostile/try', type='http', auth='none', methods=['POST'], csrf=False)
    def attempt(self, **_):
        """``[{"kind": "read_file", "path": "/etc/shadow"}, ...]`` ->
        ``{"attempts": [{"kind", "target", "refused", "detail"}, ...], "uid": N, "pid": N}``"""
        asked = json.loads(request.httprequest.get_data().decode('utf-8'))
        answer = attempts.run(asked)
        return request.make_response(json.dumps(answer), headers=[('Content-Type', 'application/json')])
