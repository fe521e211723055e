CREATE TABLE refusal (
    slice INTEGER NOT NULL,       -- five minutes each, since the epoch
    host TEXT NOT NULL,           -- whose engine refused
    address TEXT NOT NULL,        -- of the mailbox; empty: every refusal
    refused INTEGER NOT NULL,
    at REAL NOT NULL,             -- the last one, seconds since the epoch
    sender TEXT NOT NULL,         -- of the last one
    PRIMARY KEY (slice, host, address)
) WITHOUT ROWID;
