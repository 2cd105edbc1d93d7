"""Every message between client and daemon, and how it is packed.

A search loads what it says and hears itself; all other messages come with the first of them that is named.
"""

from imgq.wire.packing import *
from imgq.wire.searches import *

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgq.wire.every import *
else:

    def __getattr__(name):
        import imgq.wire.every

        value = globals()[name] = getattr(imgq.wire.every, name)
        return value
