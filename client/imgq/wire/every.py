"""Every message, and each by the name it travels under."""

from __future__ import annotations

from imgq.wire.replies import *
from imgq.wire.reports import *
from imgq.wire.requests import *
from imgq.wire.searches import Reply, Request

REQUESTS: dict[str, type[Request]] = {cls.__name__: cls for cls in Request.__subclasses__()}
REPLIES: dict[str, type[Reply]] = {cls.__name__: cls for cls in Reply.__subclasses__()}
