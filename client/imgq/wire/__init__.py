"""Every message between client and daemon, and how it is packed."""

from imgq.wire.packing import *
from imgq.wire.replies import *
from imgq.wire.reports import *
from imgq.wire.requests import *
