"""What is wrong on this server, and how to mend it: facts are gathered first, then judged by pure checks."""
