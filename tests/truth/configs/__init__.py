"""Generated configurations of Dovecot and Postfix: mailquota, which gets no settings, held against the real servers."""
