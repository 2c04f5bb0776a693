"""What the kinds of Ceph share."""
