-- What calibration measured. `kind` is cell (one technique on one organism or twin), detector (which behaviours a technique
-- reports) or summary (one technique and one behaviour); `key` is a digest of all that determines the body.
CREATE TABLE calibration (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, key)
);
