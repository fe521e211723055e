"""What must not do harm: bytes from outside, crowds, dead databases, hanging disks, sudden deaths."""
