CREATE TABLE IF NOT EXISTS refusal (
    slice BIGINT NOT NULL,          -- five minutes each, since the epoch
    host VARCHAR(255) NOT NULL,     -- whose engine refused
    address VARCHAR(320) NOT NULL,  -- of the mailbox; empty: every refusal
    refused BIGINT NOT NULL,
    at DOUBLE NOT NULL,             -- the last one, seconds since the epoch
    sender VARCHAR(320) NOT NULL,   -- of the last one
    PRIMARY KEY (slice, host, address)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
