CREATE TABLE told (                -- what owners of mailboxes were told last, as far as it still holds
    address TEXT PRIMARY KEY,
    percent REAL NOT NULL,         -- of the mark, in percent of the limit
    at REAL NOT NULL,              -- seconds since the epoch
    was_full INTEGER NOT NULL,     -- the mailbox has been full since
    room INTEGER NOT NULL          -- not told yet that there is room again
) WITHOUT ROWID;
CREATE TABLE warning (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,              -- when it became due
    address TEXT NOT NULL,
    mark TEXT NOT NULL,
    percent REAL,
    used INTEGER,
    quota INTEGER,
    state TEXT NOT NULL,           -- queued, sending, sent, failed, dropped
    source TEXT NOT NULL,          -- state, dovecot, operator
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL,                 -- of a queued one; of one that is being sent: when its sender counts as dead
    sent_at REAL,
    method TEXT,
    error TEXT
);
CREATE INDEX warning_address ON warning (address, id);
CREATE INDEX warning_state ON warning (state, next_try);
CREATE INDEX warning_sent ON warning (sent_at);
CREATE INDEX warning_at ON warning (at);
