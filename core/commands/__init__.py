"""The command line but for the console: each command is a client of the running engine, or of one of its own."""
