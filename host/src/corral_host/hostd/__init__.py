"""corral-hostd: heartbeats to the API, and the tool's run when the host's document changes.

It runs as a user of its own that may read the node's token and libvirt's read-only socket and
nothing else: it sees versions, never documents or secrets, and root's part is ``corral-converge``.
"""
