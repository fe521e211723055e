"""mailquota: a terminal console for mail quotas that also enforces them.

``core`` and ``tui`` are links to the folders of that name at the top of the checkout.
"""
