"""The product against the real Dovecot, on generated mailboxes and questions, reproducible by seed."""
