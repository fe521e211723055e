CREATE TABLE IF NOT EXISTS temporary_limits (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    entry BIGINT,                 -- of the journal; NULL until the limit was set
    address VARCHAR(320) NOT NULL,
    before_bytes BIGINT NOT NULL, -- the limit to go back to; 0: unlimited
    limit_bytes BIGINT NOT NULL,
    until DOUBLE NOT NULL,        -- seconds since the epoch, as ended_at
    ended_at DOUBLE,              -- NULL while it runs
    ended_by BIGINT,              -- the edit that ended it, an entry of the journal
    KEY temporary_running (ended_at, until),
    KEY temporary_address (address, ended_at),
    KEY temporary_ended_by (ended_by)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
