"""Objects and errors in messages."""

import re


def without_addresses(text):
    """Text without the memory addresses that objects have in their ``repr``.

    Messages that are kept and compared, such as those of journals, are then the same in every run.
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
