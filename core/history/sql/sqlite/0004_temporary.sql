CREATE TABLE temporary_limits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entry INTEGER,                -- of the journal; NULL until the limit was set
    address TEXT NOT NULL,
    before_bytes INTEGER NOT NULL,  -- the limit to go back to; 0: unlimited
    limit_bytes INTEGER NOT NULL,
    until REAL NOT NULL,          -- seconds since the epoch, as ended_at
    ended_at REAL,                -- NULL while it runs
    ended_by INTEGER              -- the edit that ended it, an entry of the journal
);
CREATE INDEX temporary_running ON temporary_limits (ended_at, until);
CREATE INDEX temporary_address ON temporary_limits (address, ended_at);
CREATE INDEX temporary_ended_by ON temporary_limits (ended_by);
