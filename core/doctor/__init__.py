"""The doctor: finds what is wrong on this server and how to fix it. Facts are gathered, then judged by pure checks."""
